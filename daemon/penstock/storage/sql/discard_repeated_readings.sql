-- Drops from the staged readings those that stand in the table as they are, whoever put them there.
-- The bounds let the planner leave out all other chunks. OFFSET 0 has it look up each reading by the
-- primary key: it knows nothing of the staged rows and little of the newest stored ones, and would join
-- the two row by row.
delete from penstock_readings staged
where exists (
    select from readings stored
    where stored.series_id = staged.series_id
        and stored.ts = staged.ts
        and stored.value = staged.value
        and stored.quality = staged.quality
        and stored.ts between $1 and $2
    offset 0
)
