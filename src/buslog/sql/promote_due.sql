-- Retrying and scheduled deliveries whose time has come. Called by store.promote_due.
SELECT promoted, next_in FROM buslog.promote_due(%b::integer)
