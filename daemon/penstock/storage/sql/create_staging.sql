-- Where a batch waits that holds readings which may be there already. The session keeps the tables,
-- which costs the system catalogues nothing after the first time; each transaction empties them.
create temporary table if not exists penstock_readings
    (series_id integer, quality smallint, ts timestamptz, value double precision)
on commit delete rows;

create temporary table if not exists penstock_readings_text
    (series_id integer, ts timestamptz, value text)
on commit delete rows;
