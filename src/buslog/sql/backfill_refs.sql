-- One batch of the log, looked through for refs. Called by refs.
SELECT messages, refs, last FROM buslog.backfill_refs(%b::uuid, %b::integer)
