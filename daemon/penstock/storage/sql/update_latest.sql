-- The newest readings, where they are newer than what is there. Series without one have no ts; those that
-- were deleted meanwhile fall out of the join.
insert into latest (series_id, ts, value, quality)
select staged.series_id, staged.ts, staged.value, staged.quality
from penstock_latest as staged
join series using (series_id)
where staged.ts > '-infinity'
on conflict (series_id) do update
set ts = excluded.ts, value = excluded.value, quality = excluded.quality
where latest.ts < excluded.ts
