with marked as (
    update dead_letters
    set status = 'replayed', replayed_at = now()
    where dead_letter_id = any($1::bigint[]) and status = 'new'
    returning 1
)
select count(*) from marked
