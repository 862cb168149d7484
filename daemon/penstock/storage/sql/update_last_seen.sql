-- When each device was last heard from.
update devices
set last_seen_at = seen.seen_at
from (
    select series.device_id, max(staged.seen_at) as seen_at
    from penstock_latest as staged
    join series using (series_id)
    group by series.device_id
) as seen
where devices.device_id = seen.device_id
    and (devices.last_seen_at is null or devices.last_seen_at < seen.seen_at)
