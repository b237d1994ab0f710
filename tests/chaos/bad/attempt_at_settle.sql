-- Known bad: the attempt is counted when it is settled, not when it is claimed. A delivery that kills its worker is
-- never charged, and kills the next one for ever.
-- Raises where claim or settle count in other words: then this file is to be written anew.
CREATE FUNCTION pg_temp.change(function regproc, good text[], bad text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    body text := pg_get_functiondef(function);
BEGIN
    FOR place IN 1 .. cardinality(good) LOOP
        IF position(good[place] IN body) = 0 THEN
            RAISE EXCEPTION '% does not say: %', function, good[place];
        END IF;
        body := replace(body, good[place], bad[place]);
    END LOOP;
    EXECUTE body;
END $$;

SELECT pg_temp.change(claim,
    ARRAY['attempt = d.attempt + 1, ', 'd.generation, d.attempt,', '(d.attempt - d.uncharged)::smallint AS charged'],
    ARRAY['', 'd.generation, d.attempt + 1 AS attempt,', '(d.attempt - d.uncharged + 1)::smallint AS charged'])
FROM unnest(ARRAY['buslog.claim', 'buslog.claim_alone']::regproc[]) AS claim;

SELECT pg_temp.change('buslog.settle',
    ARRAY['d.generation, d.attempt, d.repeats, d.chain',
          'CASE WHEN o.state = ''pending'' AND o.error_type IS NULL THEN d.attempt - 1 ELSE d.attempt END',
          'WHERE t.error_type IS NOT NULL'],
    ARRAY['d.generation, d.attempt + 1 AS attempt, d.repeats, d.chain',
          'CASE WHEN o.state = ''pending'' AND o.error_type IS NULL OR lost THEN d.attempt ELSE d.attempt + 1 END',
          'WHERE t.error_type IS NOT NULL AND t.error_type <> ''WorkerLost''']);
