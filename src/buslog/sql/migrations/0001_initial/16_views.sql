-- Saved views: filters that somebody named, and nameless ones that are too long for an address.

CREATE TABLE buslog.saved_views (
    id       uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name     text CHECK (length(name) BETWEEN 1 AND 100),  -- null: nobody named it, an address refers to it
    filter   text NOT NULL CHECK (length(filter) <= 1000000), -- the Filter's text form
    who      text NOT NULL,
    shared   boolean NOT NULL DEFAULT false,         -- listed to everybody
    saved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX saved_views_name ON buslog.saved_views (who, name) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX saved_views_filter ON buslog.saved_views (md5(filter)) WHERE name IS NULL;
