-- Records one subscription; returns its number. Called by store.register.
SELECT buslog.register(%b::text, %b::text[], %b::text::buslog.kind, %b::text::jsonb, %b::text::json, %b::text, %b::text)
