-- Lets one daemon at a time do this, or two could meet in opposite orders and deadlock.
select pg_advisory_xact_lock(5780251902344373)
