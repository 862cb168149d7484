-- Deletes $6 of the oldest that match and says how many; the filters as for list_dead_letters.
with purged as (
    delete from dead_letters
    where dead_letter_id in (
        select dead_letter_id
        from dead_letters
        where ($1::text is null or tenant = $1)
            and ($2::text is null or reason = $2)
            and ($3::text is null or status = $3)
            and ($4::timestamptz is null or received_at >= $4)
            and ($5::timestamptz is null or received_at < $5)
        order by dead_letter_id
        limit $6
    )
    returning 1
)
select count(*) from purged
