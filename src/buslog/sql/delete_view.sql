-- Called by views, which has looked whose it is, and by privacy.erase.
DELETE FROM buslog.saved_views WHERE id = %b
