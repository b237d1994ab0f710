-- What somebody has to say about a failure group. Called by groups.
UPDATE buslog.failure_groups SET note = %(to)b WHERE fingerprint = %(group)b
