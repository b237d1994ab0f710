-- Whether a sync subscriber would have to be waited for. Called by within.emit_sync and emit_async.
SELECT EXISTS (
    SELECT FROM buslog.subscriptions s
    WHERE s.active AND s.mode = 'sync' AND s.id IN (
        SELECT r.subscription_id FROM buslog.routes r WHERE r.name = CAST(%(name)s AS text) AND r.pattern IS NULL
      UNION ALL SELECT buslog.pattern_routes(CAST(%(name)s AS text)))) AS has_sync_subscriber
