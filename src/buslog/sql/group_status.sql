-- Opens, acknowledges or resolves a failure group. Called by groups.
UPDATE buslog.failure_groups
SET status = %(to)b::buslog.group_status, resolved_at = CASE WHEN %(to)b = 'resolved' THEN clock_timestamp() END
WHERE fingerprint = %(group)b
