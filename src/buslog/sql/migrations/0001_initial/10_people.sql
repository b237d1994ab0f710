-- People and their roles. Called from desk.py, people.py and insights.

CREATE TYPE buslog.role AS ENUM ('viewer', 'operator', 'admin');  -- in the order of rank, as rights.Role

-- Whoever has logged in, and whoever was given a role before they came. Who is at this machine ("local:…") is not here.
CREATE TABLE buslog.users (
    person     text PRIMARY KEY CHECK (person !~ '^local(:|$)'),  -- as the audit names them
    name       text NOT NULL DEFAULT '',
    claimed    buslog.role NOT NULL DEFAULT 'viewer',  -- what the newest login said
    claimed_at timestamptz NOT NULL DEFAULT '-infinity',  -- when the provider said so
    given      buslog.role,                            -- by hand: it wins
    first_seen timestamptz,                            -- NULL: never yet
    last_seen  timestamptz
);

-- A login stands in the audit once: its person, and when the provider (or the start of the dashboard) said who it is.
CREATE UNIQUE INDEX operations_login ON buslog.operations (actor, (outcome ->> 'login')) WHERE verb = 'log in';

-- The role of somebody who logs in, held until the transaction ends: whoever takes it away waits for what is under way.
CREATE FUNCTION buslog.held_role(person text) RETURNS buslog.role LANGUAGE sql AS $$
    SELECT coalesce(given, claimed) FROM buslog.users u WHERE u.person = held_role.person FOR SHARE
$$;

-- The highest role that these subscriptions' commands demand; NULL when none demands one.
CREATE FUNCTION buslog.demanded_role(subscriptions text[]) RETURNS buslog.role LANGUAGE sql STABLE AS $$
    SELECT max((s.policy ->> 'role')::buslog.role) FROM buslog.subscriptions s WHERE s.subscription = ANY (subscriptions)
$$;

-- Months are made by whoever needs one; the tables are their owner's. So a role that only emits and works can do it.
ALTER FUNCTION buslog.ensure_partitions(timestamptz, timestamptz) SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION buslog.ensure_partitions(timestamptz, timestamptz) FROM PUBLIC;
