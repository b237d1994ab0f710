-- Wakes sleeping workers. After the commit, never in it: commits that notify take turns. Called by store.notify.
SELECT pg_notify('buslog', '')
