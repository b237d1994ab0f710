-- The payload's fields that hold refs. Called by refs.
SELECT ref_fields FROM buslog.settings
