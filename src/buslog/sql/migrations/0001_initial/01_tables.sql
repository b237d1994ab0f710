-- The tables of buslog. Words and states: docs/glossary.md, docs/states.md.
-- messages, ended_deliveries and attempts are partitioned by message id, which carries
-- the time (UUID version 7): one range of ids is one range of times in all three.

CREATE TYPE buslog.kind AS ENUM ('event', 'command');
CREATE TYPE buslog.mode AS ENUM ('async', 'sync', 'serial');
CREATE TYPE buslog.state AS ENUM (
    'scheduled', 'pending', 'blocked', 'running', 'retrying',
    'succeeded', 'failed', 'cancelled');

-- One row, so that an emit by SQL finds the key where an emit by Python finds it.
CREATE TABLE buslog.settings (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    key_field  text NOT NULL DEFAULT 'shipmentId',
    routing    bigint NOT NULL DEFAULT 1,            -- drawn anew whenever names may have other recipients than before
    until_time timestamptz                           -- where the last partition ends
);
INSERT INTO buslog.settings DEFAULT VALUES;

CREATE TABLE buslog.subscriptions (
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription   text NOT NULL UNIQUE,             -- module:qualname, or the author's own
    kind           buslog.kind NOT NULL,
    mode           buslog.mode NOT NULL DEFAULT 'async',
    chain_order    integer NOT NULL DEFAULT 0,       -- order= within a serial chain; then the place of registration
    position       integer NOT NULL DEFAULT 0,
    policy         jsonb NOT NULL DEFAULT '{}',      -- retry.RetryPolicy as JSON: rescue reads it without the code
    ordered_by_key boolean NOT NULL DEFAULT false,   -- one delivery at a time for each key
    skips_failed   boolean NOT NULL DEFAULT false,   -- a failed delivery does not hold its chain, or its key
    priority       smallint NOT NULL DEFAULT 0,      -- the higher is claimed first
    concurrency    integer,                          -- deliveries running at once, over all workers
    rate_count     integer,                          -- attempts started in rate_per seconds, over all workers
    rate_per       double precision,
    outage_after   integer,                          -- errors in a row that open the circuit
    outage_probe   double precision,                 -- seconds between two probes of an open one
    payload_schema json,                             -- JSON Schema; a command's form, which keeps its order
    description    text NOT NULL DEFAULT '',         -- first paragraph of the subscriber's docstring
    code_version   text NOT NULL DEFAULT '',
    active         boolean NOT NULL DEFAULT true,    -- false: new messages do not reach it
    paused_at      timestamptz,                      -- paused: its deliveries wait, and nobody claims them
    registered_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Which names reach which subscription. The fan-out joins it.
CREATE TABLE buslog.routes (
    name            text NOT NULL,                   -- with a *: any characters in its place
    subscription_id integer NOT NULL REFERENCES buslog.subscriptions ON DELETE CASCADE,
    pattern         text GENERATED ALWAYS AS (CASE WHEN strpos(name, '*') > 0 THEN
                        replace(replace(replace(replace(name, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%') END) STORED,
    PRIMARY KEY (name, subscription_id)
);
CREATE INDEX routes_patterns ON buslog.routes (subscription_id) WHERE pattern IS NOT NULL;

-- How much of a limited subscription may run now. A row only where there is a limit or an outage policy; whoever
-- claims from, or reports to, such a subscription locks it.
CREATE TABLE buslog.flow (
    subscription_id integer PRIMARY KEY REFERENCES buslog.subscriptions ON DELETE CASCADE,
    tokens          double precision NOT NULL DEFAULT 0, -- starts that the rate still allows, as of refilled_at
    refilled_at     timestamptz NOT NULL DEFAULT '-infinity',
    errors_in_row   integer NOT NULL DEFAULT 0,      -- that mean an outage
    opened_at       timestamptz,                     -- the circuit is open: only probes are claimed
    probe_at        timestamptz                      -- when the next one may start
) WITH (fillfactor = 50);

-- One beat writes one row here, however many deliveries the worker holds.
CREATE TABLE buslog.workers (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    worker      text NOT NULL,                       -- host:pid
    version     text NOT NULL,
    hosts       integer[] NOT NULL,                  -- subscriptions whose code it carries
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease       double precision NOT NULL DEFAULT 0, -- seconds it lasts without a beat
    lease_until timestamptz NOT NULL,
    retired_at  timestamptz                          -- lease expired; its deliveries are being rescued
);

-- A table of its own: a unique key cannot span partitions.
CREATE TABLE buslog.dedupe (
    dedupe_key text PRIMARY KEY CHECK (length(dedupe_key) BETWEEN 1 AND 200),
    message_id uuid NOT NULL,
    until      timestamptz NOT NULL
);
CREATE INDEX dedupe_until ON buslog.dedupe (until);

-- A subscription that hears a name, as an emit needs to know it.
CREATE TYPE buslog.recipient AS (
    subscription_id integer,
    kind            buslog.kind,
    mode            buslog.mode,
    chain           smallint,                        -- its place among the serial ones: 1 is the head
    ordered_by_key  boolean,
    starts_at_once  boolean                          -- neither paused nor limited
);

CREATE TABLE buslog.names (
    name       text PRIMARY KEY,
    kind       buslog.kind NOT NULL,
    first_seen timestamptz NOT NULL,
    recipients buslog.recipient[] NOT NULL DEFAULT '{}', -- in the order in which their deliveries start
    routing    bigint NOT NULL DEFAULT 0             -- settings.routing as it was when they were found
);

CREATE TABLE buslog.messages (
    id             uuid NOT NULL PRIMARY KEY,
    kind           buslog.kind NOT NULL,
    routed         smallint NOT NULL,                -- how many deliveries it had
    emitted_at     timestamptz NOT NULL,
    correlation_id uuid NOT NULL,                    -- a root's own id
    causation_id   uuid,                             -- the message being handled when this one was emitted
    name           text NOT NULL,
    key            text,
    source         text NOT NULL,                    -- bus, sql, cli, dashboard, import
    actor          text,                             -- the person, when a person emitted it
    traceparent    text,                             -- W3C trace context of the emit
    xid            xid8 NOT NULL DEFAULT pg_current_xact_id(), -- the order of visibility: what follows the log live reads it
    payload        jsonb NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX messages_name ON buslog.messages (name, id);
CREATE INDEX messages_key ON buslog.messages (key, id) INCLUDE (name) WHERE key IS NOT NULL; -- see decision 0031
CREATE INDEX messages_correlation ON buslog.messages (correlation_id, id);
CREATE INDEX messages_xid ON buslog.messages (xid);

-- Ready order and fence in one. Drawn anew whenever a delivery becomes ready.
CREATE SEQUENCE buslog.ready_seq CACHE 1;

-- Unfinished deliveries only: narrow, hot, no payload, no foreign key.
-- The primary key allows one open generation of a delivery at a time.
CREATE TABLE buslog.deliveries (
    message_id      uuid NOT NULL,
    subscription_id integer NOT NULL,
    generation      smallint NOT NULL DEFAULT 1,
    attempt         integer  NOT NULL DEFAULT 0,     -- counted at claim
    uncharged       integer  NOT NULL DEFAULT 0,     -- attempts that do not count: made while the circuit was open
    repeats         smallint NOT NULL DEFAULT 0,     -- sent again after it had succeeded
    chain           smallint,                        -- place in the message's serial chain
    sequenced       boolean NOT NULL DEFAULT false,  -- has a place among the deliveries of its key
    alone           boolean NOT NULL DEFAULT false,  -- its worker died under it twice: it runs with no neighbours
    limited         boolean NOT NULL DEFAULT false,  -- running, and counted against its subscription's concurrency
    state           buslog.state NOT NULL,
    ready_seq       bigint,                          -- null while not ready
    worker_id       bigint,
    due_at          timestamptz,                     -- scheduled and retrying
    started_at      timestamptz,
    order_key       text,                            -- the message's key, where the subscription is ordered by it
    PRIMARY KEY (message_id, subscription_id),
    CHECK (state IN ('scheduled', 'pending', 'blocked', 'running', 'retrying')),
    CHECK ((ready_seq IS NOT NULL) = (state IN ('pending', 'running'))),
    CHECK ((worker_id IS NOT NULL) = (state = 'running')),
    CHECK ((due_at IS NOT NULL) = (state IN ('scheduled', 'retrying')))
) WITH (
    fillfactor = 75,
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 200,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX deliveries_ready ON buslog.deliveries (subscription_id, ready_seq) WHERE state = 'pending' AND NOT alone;
CREATE INDEX deliveries_due ON buslog.deliveries (due_at) WHERE state IN ('scheduled', 'retrying');
-- Entries only for what is rare: killers, limited subscriptions, subscriptions that are ordered by key.
CREATE INDEX deliveries_alone ON buslog.deliveries (ready_seq) WHERE state = 'pending' AND alone;
CREATE INDEX deliveries_limited ON buslog.deliveries (subscription_id) WHERE state = 'running' AND limited;
CREATE INDEX deliveries_arrived ON buslog.deliveries (subscription_id, message_id)
    WHERE state = 'blocked' AND order_key IS NOT NULL AND NOT sequenced;
CREATE INDEX deliveries_queued ON buslog.deliveries (subscription_id, order_key, message_id)
    WHERE state = 'blocked' AND order_key IS NOT NULL AND sequenced;
-- A key has one open delivery at a time, whatever goes wrong elsewhere.
CREATE UNIQUE INDEX deliveries_head ON buslog.deliveries (subscription_id, order_key)
    WHERE order_key IS NOT NULL AND state IN ('pending', 'running', 'retrying');

-- One row for each generation that ended. A replay clears `latest` and leaves the row as history.
CREATE TABLE buslog.ended_deliveries (
    message_id      uuid NOT NULL,
    subscription_id integer NOT NULL,
    generation      smallint NOT NULL,
    attempts        integer  NOT NULL,
    repeats         smallint NOT NULL,
    chain           smallint,
    state           buslog.state NOT NULL,
    latest          boolean NOT NULL DEFAULT true,
    xid             xid8 NOT NULL DEFAULT pg_current_xact_id(), -- as of messages; 08_series.sql counts by it
    superseded      xid8,                            -- the transaction that cleared `latest`
    started_at      timestamptz,                     -- of the last attempt; null when it never ran
    finished_at     timestamptz NOT NULL,
    worker          text,
    error_type      text,                            -- of the last attempt
    error           text,
    result          jsonb,                           -- what the subscriber returned
    order_key       text,
    PRIMARY KEY (message_id, subscription_id, generation),
    CHECK (state IN ('succeeded', 'failed', 'cancelled'))
) PARTITION BY RANGE (message_id);
CREATE INDEX ended_failed ON buslog.ended_deliveries (message_id, subscription_id) WHERE state = 'failed' AND latest;
CREATE INDEX ended_failed_keys ON buslog.ended_deliveries (subscription_id, order_key)
    WHERE state = 'failed' AND latest AND order_key IS NOT NULL;
CREATE INDEX ended_xid ON buslog.ended_deliveries (xid);
CREATE INDEX ended_superseded ON buslog.ended_deliveries (superseded) WHERE superseded IS NOT NULL;

-- Every attempt that raised or was lost. Never overwritten.
CREATE TABLE buslog.attempts (
    message_id      uuid NOT NULL,
    subscription_id integer NOT NULL,
    generation      smallint NOT NULL,
    attempt         integer  NOT NULL,
    started_at      timestamptz NOT NULL,
    finished_at     timestamptz NOT NULL,
    worker          text NOT NULL,
    code_version    text NOT NULL,
    error_type      text NOT NULL,
    error           text NOT NULL,
    frame           text,                            -- innermost frame outside libraries: file:line in function
    traceback       text,
    xid             xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (message_id, subscription_id, generation, attempt)
) PARTITION BY RANGE (message_id);
CREATE INDEX attempts_xid ON buslog.attempts (xid);

-- Who did what, when, why. Append-only.
CREATE TABLE buslog.operations (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor        text NOT NULL,
    verb         text NOT NULL,                      -- replay, run now, cancel, run, import
    message_id   uuid,
    subscription text,
    reason       text,
    outcome      jsonb NOT NULL
);
CREATE INDEX operations_message ON buslog.operations (message_id) WHERE message_id IS NOT NULL;

CREATE FUNCTION buslog.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'buslog.% is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON buslog.operations
    FOR EACH STATEMENT EXECUTE FUNCTION buslog.refuse_change();
