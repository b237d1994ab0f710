-- Called by views, which has looked whose it is.
UPDATE buslog.saved_views SET name = %b WHERE id = %b
