-- Takes names away from a subscription. Called by store.unregister and registrations.unregister.
SELECT buslog.unregister(%b::text, %b::text[])
