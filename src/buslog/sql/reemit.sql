-- An edited copy of a message, caused by it; returns the copy's id. Called by reemission.
SELECT buslog.emit(name => %(name)s::text, payload => %(payload)s::text::jsonb, key => %(key)s::text,
                   causation_id => %(id)s::uuid, source => %(source)s::text, actor => %(actor)s::text)
