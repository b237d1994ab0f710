-- A message's whole payload as pretty text. Called by insights.
SELECT jsonb_pretty(payload) FROM buslog.messages WHERE id = %(id)s
