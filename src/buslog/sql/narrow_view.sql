-- A saved view that no longer asks for a key, and asks for others still. Called by privacy.erase.
UPDATE buslog.saved_views SET filter = %(filter)s WHERE id = %(id)s
