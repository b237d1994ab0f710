-- Wakes sleeping workers. After the commit, never in it: commits that notify take turns. It need not outlive a crash, and
-- waits for no disk. Called by store.notify, and by store.emit_many right behind its commit.
SELECT set_config('synchronous_commit', 'off', true), pg_notify('buslog', '')
