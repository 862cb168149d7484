-- As insert_readings, for text.
with inserted as (
    insert into readings_text (series_id, ts, value)
    select series_id, ts, value from penstock_readings_text
    order by series_id, ts
    on conflict do nothing
    returning series_id
)
select series_id, count(*) as rows from inserted group by series_id
