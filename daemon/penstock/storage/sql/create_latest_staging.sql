create temporary table if not exists penstock_latest (
    series_id integer,
    seen_at timestamptz,
    ts timestamptz,
    value double precision,
    quality smallint
) on commit delete rows
