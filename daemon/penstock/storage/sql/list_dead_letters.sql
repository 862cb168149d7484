-- The newest dead letters first, below the number $6; a filter that is null lets everything through.
select
    dead_letter_id, received_at, tenant, device, topic, payload, reason, detail, sqlstate,
    correlation_id, status, replayed_at
from dead_letters
where ($1::text is null or tenant = $1)
    and ($2::text is null or reason = $2)
    and ($3::text is null or status = $3)
    and ($4::timestamptz is null or received_at >= $4)
    and ($5::timestamptz is null or received_at < $5)
    and ($6::bigint is null or dead_letter_id < $6)
order by dead_letter_id desc
limit $7
