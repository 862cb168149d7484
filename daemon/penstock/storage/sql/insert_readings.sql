-- Takes the staged readings over, all but those that are there already; says how many of each series.
with inserted as (
    insert into readings (series_id, quality, ts, value)
    select series_id, quality, ts, value from penstock_readings
    order by series_id, ts
    on conflict do nothing
    returning series_id
)
select series_id, count(*) as rows from inserted group by series_id
