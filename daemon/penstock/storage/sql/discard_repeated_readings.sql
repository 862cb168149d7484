-- Drops from the staged readings those that stand in the table as they are, whoever put them there.
-- The bounds let the planner leave out all other chunks.
delete from penstock_readings staged
using readings stored
where stored.series_id = staged.series_id
    and stored.ts = staged.ts
    and stored.value = staged.value
    and stored.quality = staged.quality
    and stored.ts between $1 and $2
