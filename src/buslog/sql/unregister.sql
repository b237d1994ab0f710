-- Takes names away from a subscription. Called by store.unregister.
SELECT buslog.unregister(%b::text, %b::text[])
