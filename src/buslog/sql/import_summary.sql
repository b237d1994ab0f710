-- How many lines, and from when to when. Called by history.
SELECT count(*), min(emitted_at), max(emitted_at) FROM import_lines
