-- As discard_repeated_readings, for text.
delete from penstock_readings_text staged
where exists (
    select from readings_text stored
    where stored.series_id = staged.series_id
        and stored.ts = staged.ts
        and stored.value = staged.value
        and stored.ts between $1 and $2
    offset 0
)
