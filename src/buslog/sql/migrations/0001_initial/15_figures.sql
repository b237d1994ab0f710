-- What the Overview and the Subscribers page show beside the series: releases, visits, who holds a subscription.

-- When the code of each release was first seen to run: the markers on charts.
CREATE TABLE buslog.releases (
    version    text PRIMARY KEY CHECK (version <> ''),
    first_seen timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION buslog.note_release() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO buslog.releases (version) VALUES (NEW.version) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER note_release AFTER INSERT ON buslog.workers
    FOR EACH ROW WHEN (NEW.version <> '') EXECUTE FUNCTION buslog.note_release();

-- When each person last looked at the Overview, and until when the visit before that one lasted.
CREATE TABLE buslog.visits (
    person    text PRIMARY KEY,
    seen_at   timestamptz NOT NULL,
    before_at timestamptz                            -- null: this is the first visit
) WITH (fillfactor = 50);

-- Somebody looks; returns when the visit before this one ended. Half an hour without a look ends a visit.
CREATE FUNCTION buslog.visit(who text) RETURNS timestamptz LANGUAGE sql AS $$
    INSERT INTO buslog.visits AS v (person, seen_at) VALUES (who, clock_timestamp())
    ON CONFLICT (person) DO UPDATE SET
        before_at = CASE WHEN v.seen_at < clock_timestamp() - interval '30 minutes' THEN v.seen_at ELSE v.before_at END,
        seen_at = clock_timestamp()
    RETURNING v.before_at
$$;

-- What has failed since a moment, among all that failed in years.
CREATE INDEX ended_failed_since ON buslog.ended_deliveries (finished_at) WHERE state = 'failed' AND latest;
