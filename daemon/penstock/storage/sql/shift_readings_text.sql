-- As shift_readings, for text.
update penstock_readings_text
set ts = ts + (1 + (hashtextextended(value, $1) & 1023)) * interval '1 microsecond'
