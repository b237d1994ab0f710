-- Whether a sync subscriber would have to be waited for. Called by within.emit_sync and emit_async.
SELECT EXISTS (SELECT FROM unnest(buslog.recipients_of(CAST(%(name)s AS text))) AS r
               WHERE r.mode = 'sync') AS has_sync_subscriber
