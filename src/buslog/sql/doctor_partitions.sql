-- Seconds until the months that have partitions end; null when there are none. Called by doctor.
SELECT extract(epoch FROM max(until_time) - clock_timestamp())::float8 FROM buslog.partitions WHERE suffix LIKE 'm%%'
