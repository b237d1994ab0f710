-- Who has taken a failure group on. Called by groups.
UPDATE buslog.failure_groups SET owner = %(to)b WHERE fingerprint = %(group)b
