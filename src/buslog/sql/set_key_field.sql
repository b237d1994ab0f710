-- BUSLOG_KEY_FIELD, where it is set, counts for emits by SQL too. Called by store.register.
UPDATE buslog.settings SET key_field = %(key_field)b WHERE key_field <> %(key_field)b
