-- Moves what is left of the staged readings to a time soon after, which follows from the value and the
-- attempt alone: delivered again, a reading finds itself where it was stored.
update penstock_readings
set ts = ts + (1 + (hashfloat8extended(value, $1) & 1023)) * interval '1 microsecond'
