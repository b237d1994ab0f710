-- Partitions of messages, ended_deliveries and attempts share their bounds.
-- Months from the installation on; whole years for imported history before it.

CREATE TABLE buslog.partitions (
    suffix     text PRIMARY KEY,                     -- y2011, m202611
    from_time  timestamptz NOT NULL,
    until_time timestamptz NOT NULL
);

-- Where an emit looks: it reads that row anyway.
CREATE FUNCTION buslog.note_until() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE buslog.settings SET until_time = (SELECT max(p.until_time) FROM buslog.partitions p);
    RETURN NULL;
END $$;
CREATE TRIGGER note_until AFTER INSERT OR UPDATE OR DELETE ON buslog.partitions FOR EACH STATEMENT
    EXECUTE FUNCTION buslog.note_until();

-- LIKE + CHECK + ATTACH instead of CREATE … PARTITION OF: the latter waits behind, and then
-- blocks, every open emitter.
CREATE FUNCTION buslog.add_partition(suffix text, from_time timestamptz, until_time timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    parent record;
    child text;
    low uuid := buslog.id_floor(from_time);
    high uuid := buslog.id_floor(until_time);
BEGIN
    FOR parent IN VALUES ('messages', 'id'), ('ended_deliveries', 'message_id'), ('attempts', 'message_id') LOOP
        child := parent.column1 || '_' || suffix;
        EXECUTE format('CREATE TABLE buslog.%I (LIKE buslog.%I INCLUDING ALL)', child, parent.column1);
        EXECUTE format('ALTER TABLE buslog.%1$I ADD CONSTRAINT bounds CHECK (%2$I >= %3$L AND %2$I < %4$L)',
                       child, parent.column2, low, high);
        EXECUTE format('ALTER TABLE buslog.%I ATTACH PARTITION buslog.%I FOR VALUES FROM (%L) TO (%L)',
                       parent.column1, child, low, high);
        EXECUTE format('ALTER TABLE buslog.%I DROP CONSTRAINT bounds', child);
    END LOOP;
    INSERT INTO buslog.partitions VALUES (suffix, from_time, until_time);
END $$;

-- Makes what is missing so that every moment of [from_time, until_time] has its partition.
-- Returns how many were made. Called by migrate, by workers once an hour, and by an import.
CREATE FUNCTION buslog.ensure_partitions(from_time timestamptz, until_time timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    made integer := 0;
    covered_from timestamptz;
    covered_until timestamptz;
    step timestamp;
BEGIN
    SELECT min(p.from_time), max(p.until_time) INTO covered_from, covered_until
        FROM buslog.partitions p WHERE p.suffix LIKE 'm%';
    IF covered_until > until_time AND (from_time >= covered_from OR NOT EXISTS (
        SELECT FROM generate_series(date_trunc('year', from_time AT TIME ZONE 'UTC'),
                                    least(until_time, covered_from - interval '1 microsecond') AT TIME ZONE 'UTC',
                                    interval '1 year') AS y
        WHERE NOT EXISTS (SELECT FROM buslog.partitions p WHERE p.suffix = 'y' || to_char(y, 'YYYY'))
    )) THEN
        RETURN 0;
    END IF;

    PERFORM pg_advisory_xact_lock(hashtext('buslog.partitions'));
    SELECT coalesce(min(p.from_time), date_trunc('month', clock_timestamp(), 'UTC')),
           coalesce(max(p.until_time), date_trunc('month', clock_timestamp(), 'UTC'))
        INTO covered_from, covered_until FROM buslog.partitions p WHERE p.suffix LIKE 'm%';

    step := covered_until AT TIME ZONE 'UTC';
    WHILE step <= until_time AT TIME ZONE 'UTC' LOOP
        PERFORM buslog.add_partition('m' || to_char(step, 'YYYYMM'), step AT TIME ZONE 'UTC',
                                     (step + interval '1 month') AT TIME ZONE 'UTC');
        made := made + 1;
        step := step + interval '1 month';
    END LOOP;

    step := date_trunc('year', from_time AT TIME ZONE 'UTC');
    WHILE from_time < covered_from AND step AT TIME ZONE 'UTC' < covered_from AND step AT TIME ZONE 'UTC' <= until_time LOOP
        IF NOT EXISTS (SELECT FROM buslog.partitions p WHERE p.suffix = 'y' || to_char(step, 'YYYY')) THEN
            PERFORM buslog.add_partition('y' || to_char(step, 'YYYY'), step AT TIME ZONE 'UTC',
                least((step + interval '1 year') AT TIME ZONE 'UTC', covered_from));
            made := made + 1;
        END IF;
        step := step + interval '1 year';
    END LOOP;
    RETURN made;
END $$;

SELECT buslog.ensure_partitions(clock_timestamp(), clock_timestamp() + interval '3 months');
