-- A partition for every year that has a line, and for none between them. Called by history.
SELECT buslog.ensure_partitions(y.first, y.last)
FROM (SELECT min(emitted_at) AS first, max(emitted_at) AS last
      FROM import_lines GROUP BY date_trunc('year', emitted_at, 'UTC')) AS y
ORDER BY y.first
