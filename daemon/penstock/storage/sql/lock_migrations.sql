-- Lets one session at a time migrate this database. A migration that waits for a table longer than $1
-- gives up, because every writer queues up behind it.
select set_config('lock_timeout', $1, true), pg_advisory_xact_lock(5780251902344372)
