-- Known bad: settle without the fence. A stalled worker's outcome is taken for the attempt of another.
-- Raises where settle has no such fence any more: then this file is to be written anew.
DO $patch$
DECLARE
    good text := pg_get_functiondef('buslog.settle'::regproc);
    bad text := replace(good, 'AND d.ready_seq = o.ready_seq', '');
BEGIN
    IF bad = good THEN
        RAISE EXCEPTION 'buslog.settle does not ask for the fence in the words known here';
    END IF;
    EXECUTE bad;
END $patch$;
