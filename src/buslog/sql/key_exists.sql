-- Whether any message has a key. Called by notes and insights.
SELECT EXISTS (SELECT FROM buslog.messages WHERE key = %(key)s)
