-- The server's present time in microseconds after the Unix epoch.
select (extract(epoch from clock_timestamp()) * 1000000)::bigint
