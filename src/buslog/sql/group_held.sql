-- A failure group as it stands, held until the end of the operation. Called by groups.
SELECT status::text, owner, note FROM buslog.failure_groups WHERE fingerprint = %b FOR UPDATE
