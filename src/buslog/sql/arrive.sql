-- Somebody has logged in. What an older login claimed does not undo what a newer one did. Called by people.arrive.
INSERT INTO buslog.users AS u (person, name, claimed, claimed_at, first_seen, last_seen)
VALUES (%(person)s, %(name)s, %(claimed)s::buslog.role, %(claimed_at)s, clock_timestamp(), clock_timestamp())
ON CONFLICT (person) DO UPDATE SET
    name = EXCLUDED.name, first_seen = coalesce(u.first_seen, EXCLUDED.first_seen), last_seen = EXCLUDED.last_seen,
    claimed = CASE WHEN EXCLUDED.claimed_at >= u.claimed_at THEN EXCLUDED.claimed ELSE u.claimed END,
    claimed_at = greatest(EXCLUDED.claimed_at, u.claimed_at)
