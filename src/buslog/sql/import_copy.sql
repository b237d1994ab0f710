-- The stream of checked lines. Called by history.
COPY import_lines (line, id, kind, name, key, emitted_at, correlation_id, causation_id, document, routed, deliveries)
FROM STDIN
