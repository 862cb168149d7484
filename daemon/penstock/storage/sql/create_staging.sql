-- Where a batch waits that holds readings which may be there already. The session keeps the tables,
-- which costs the system catalogues nothing after the first time; each transaction empties them.
-- A pooler may keep the session longer than this version runs: with other columns, take other names.
create temporary table if not exists penstock_readings
    (series_id integer, quality smallint, ts timestamptz, value double precision)
on commit delete rows;

create temporary table if not exists penstock_readings_text
    (series_id integer, ts timestamptz, value text)
on commit delete rows;
