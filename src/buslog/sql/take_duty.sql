-- A person is on duty from now on; whoever was, no longer is. Nothing when it is the same person. Called by duty.take.
WITH ended AS (
    UPDATE buslog.duty SET until = clock_timestamp() WHERE until IS NULL AND who <> %(who)s RETURNING who
)
SELECT e.who FROM (SELECT) AS one LEFT JOIN ended AS e ON true
WHERE NOT EXISTS (SELECT FROM buslog.duty WHERE until IS NULL AND who = %(who)s)
