-- How many dead letters match; the filters as for list_dead_letters.
select count(*)
from dead_letters
where ($1::text is null or tenant = $1)
    and ($2::text is null or reason = $2)
    and ($3::text is null or status = $3)
    and ($4::timestamptz is null or received_at >= $4)
    and ($5::timestamptz is null or received_at < $5)
