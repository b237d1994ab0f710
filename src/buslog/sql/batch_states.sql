-- How far the runs of a command are that were put on the bus together: by state. Called by insights.commands.
SELECT l.state, count(*) FROM buslog.log l
WHERE l.correlation_id = %(batch)s AND l.name = %(command)s AND l.kind = 'command' AND l.causation_id IS NULL
GROUP BY l.state
