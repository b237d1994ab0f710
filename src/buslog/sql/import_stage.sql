-- Where an import gathers its lines before any of them reaches the log. Gone with the transaction. Called by history.
CREATE TEMPORARY TABLE import_lines (
    line           bigint NOT NULL,
    id             uuid NOT NULL,
    kind           buslog.kind NOT NULL,
    name           text NOT NULL,
    key            text,
    emitted_at     timestamptz NOT NULL,
    correlation_id uuid,
    causation_id   uuid,
    document       jsonb NOT NULL,               -- the line as it was: the payload is taken out of it, digit by digit
    routed         smallint NOT NULL,
    deliveries     jsonb
) ON COMMIT DROP
