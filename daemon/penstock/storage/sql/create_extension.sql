-- One statement after the other in one implicit transaction, under the lock of migrations: creating the
-- extension twice at once would fail.
select pg_advisory_xact_lock(5780251902344372);
create extension if not exists timescaledb
