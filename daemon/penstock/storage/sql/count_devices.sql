select count(*) from devices where device_id <= $1
