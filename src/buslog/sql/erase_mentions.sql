-- What else says a key, at the end of its erasure; see 11_privacy.sql. Called by privacy.erase.
SELECT buslog.erase_mentions(%(key)s::text)
