-- Whether a sync subscriber would have to be waited for. Called by within.emit_sync and emit_async.
SELECT EXISTS (
    SELECT FROM buslog.routes r JOIN buslog.subscriptions s ON s.id = r.subscription_id
    WHERE r.name = CAST(%(name)s AS text) AND s.active AND s.mode = 'sync') AS has_sync_subscriber
