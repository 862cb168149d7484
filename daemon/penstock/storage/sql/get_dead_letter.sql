select
    dead_letter_id, received_at, tenant, device, topic, payload, reason, detail, sqlstate,
    correlation_id, status, replayed_at
from dead_letters
where dead_letter_id = $1
