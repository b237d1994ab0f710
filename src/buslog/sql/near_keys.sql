-- Keys like one that does not exist: those of the given spellings that do, and its neighbours in the order of the alphabet.
-- Each is one step in the index. Called by insights.
WITH RECURSIVE up AS (
    (SELECT m.key, 1 AS step FROM buslog.messages m WHERE m.key > %(key)s ORDER BY m.key LIMIT 1)
  UNION ALL
    SELECT (SELECT m.key FROM buslog.messages m WHERE m.key > up.key ORDER BY m.key LIMIT 1), up.step + 1
    FROM up WHERE up.key IS NOT NULL AND up.step < %(steps)s
), down AS (
    (SELECT m.key, 1 AS step FROM buslog.messages m WHERE m.key < %(key)s ORDER BY m.key DESC LIMIT 1)
  UNION ALL
    SELECT (SELECT m.key FROM buslog.messages m WHERE m.key < down.key ORDER BY m.key DESC LIMIT 1), down.step + 1
    FROM down WHERE down.key IS NOT NULL AND down.step < %(steps)s
)
SELECT key FROM up WHERE key IS NOT NULL
UNION SELECT key FROM down WHERE key IS NOT NULL
UNION SELECT k FROM unnest(%(spellings)s::text[]) AS k WHERE EXISTS (SELECT FROM buslog.messages m WHERE m.key = k)
