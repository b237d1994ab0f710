-- BUSLOG_REF_FIELDS, where it is set, counts for emits by SQL too. Called by store.set_ref_fields.
SELECT buslog.set_ref_fields(%b::text[])
