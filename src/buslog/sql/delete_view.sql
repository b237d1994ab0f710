-- Called by views, which has looked whose it is.
DELETE FROM buslog.saved_views WHERE id = %b
