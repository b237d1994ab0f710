-- A psql script that says something in its own transaction. Variables: name, payload, end (commit, rollback), dies.
BEGIN;
INSERT INTO invoices VALUES (:'name');
SELECT buslog.emit(:'name', :'payload');
\if :dies
  \! kill -9 $PPID
\endif
:end;
