-- The payload's field that holds the key: its label on screens. Called by insights.
SELECT key_field FROM buslog.settings
