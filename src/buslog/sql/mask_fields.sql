-- The payload's fields that are masked. Called by insights and export.
SELECT mask_fields FROM buslog.settings
