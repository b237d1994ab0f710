-- Message ids are UUID version 7, made here so that one clock decides (RFC 9562, section 5.7).

-- The smallest id of a moment, to the microsecond: a bound for ranges of time.
-- 48 bits of milliseconds, then 12 bits holding the microseconds within (RFC 9562, 6.2, method 3).
CREATE FUNCTION buslog.id_floor(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(us / 1000), 12, '0')
            || '7' || lpad(to_hex((us % 1000) * 4096 / 1000), 3, '0')
            || '8000000000000000')::uuid
    FROM (SELECT (extract(epoch FROM moment) * 1000000)::bigint AS us) AS t
$$;

-- A new id for a moment, in microseconds since 1970. Ids drawn in one microsecond are in no order. Their 62 random bits
-- come from random(), which each session seeds strongly: an id is no secret, and strong randomness for each took half of
-- its making.
CREATE FUNCTION buslog.new_id(us bigint) RETURNS uuid LANGUAGE sql VOLATILE PARALLEL RESTRICTED AS $$
    SELECT encode(int8send((us / 1000) << 16 | 28672 | (us % 1000) * 4096 / 1000)  -- 28672: 0x7000, the version
                  || int8send((1::bigint << 63)  -- the variant
                              | (floor(random() * 2147483648)::bigint << 31)
                              | floor(random() * 2147483648)::bigint), 'hex')::uuid
$$;
CREATE FUNCTION buslog.new_id(moment timestamptz) RETURNS uuid LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED AS $$
    SELECT buslog.new_id((extract(epoch FROM moment) * 1000000)::bigint)
$$;

-- The time an id carries, to the millisecond.
CREATE FUNCTION buslog.id_time(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT to_timestamp(('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0)
$$;
