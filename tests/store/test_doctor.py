"""Every finding of the doctor's, with the trouble it is about made for real."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest

from buslog import db
from buslog.doctor import Finding, Level, examine, work
from buslog.doctor.model import Look
from buslog.doctor.server import check_horizon
from buslog.embedded import EmbeddedServer
from tests.conftest import BusByHand


def found(dsn: str, check: str) -> list[Finding]:
    return [finding for finding in examine(dsn) if finding.check == check]


def levels(findings: list[Finding]) -> list[str]:
    return [str(finding.level) for finding in findings]


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def test_a_database_as_this_build_makes_it_is_well(dsn: str) -> None:
    findings = examine(dsn)
    assert [finding for finding in findings if finding.level is not Level.OK] == []
    assert {finding.check for finding in findings} == {
        "server", "durability", "clock", "connections", "horizon", "schema", "partitions", "tables", "indexes",
        "plans", "subscriptions", "leases", "series",
    }  # fmt: skip


# ── the server ──────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def throwaway() -> Iterator[tuple[EmbeddedServer, str]]:
    """A server of its own, whose settings a test may spoil."""
    home = Path(tempfile.mkdtemp(prefix="buslog-doctor-"))
    server = EmbeddedServer(home / ".buslog", 18)
    dsn = server.acquire()
    with db.connect(dsn) as connection:
        for setting in ("max_connections = 14", "max_prepared_transactions = 2", "wal_level = logical"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
    server.release()
    server.acquire()
    db.migrate(dsn)
    yield server, dsn
    server.release()
    shutil.rmtree(home)


def reload(dsn: str, setting: str, expected: str) -> None:
    """Until a new connection has it: the server reads its settings in its own time."""
    give_up_at = time.monotonic() + 30
    while True:
        with db.connect(dsn) as connection:
            connection.execute("SELECT pg_reload_conf()")
            if connection.execute(f"SHOW {setting}").fetchone() == (expected,):
                return
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit", "autovacuum", "track_counts"])
def test_a_setting_that_a_promise_rests_on_is_off(throwaway: tuple[EmbeddedServer, str], setting: str) -> None:
    _, dsn = throwaway
    with db.connect(dsn) as connection:
        try:
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
            reload(dsn, setting, "off")
            finding = only(found(dsn, "durability"))
        finally:
            connection.execute(f"ALTER SYSTEM RESET {setting}")
            reload(dsn, setting, "on")
    assert (finding.level, finding.found.split(":")[0]) == (Level.BAD, f"{setting} is off")
    assert setting in finding.mend
    assert levels(found(dsn, "durability")) == ["ok"]


def test_a_setting_of_the_role_counts_as_much(by_hand: BusByHand) -> None:
    by_hand.run(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET synchronous_commit = off', current_database()); END $$"
    )
    assert only(found(by_hand.dsn, "durability")).found.startswith("synchronous_commit is off")


def test_connections_run_out(throwaway: tuple[EmbeddedServer, str]) -> None:
    _, dsn = throwaway
    with ExitStack() as open_:
        for expected, more in (("ok", 0), ("warn", 8), ("bad", 2)):  # of 11; the look itself is one
            for _ in range(more):
                open_.enter_context(db.connect(dsn))
            finding = only(found(dsn, "connections"))
            assert (expected, finding.mend != "") == (finding.level, expected != "ok"), finding


def test_prepared_transactions_and_slots_hold_vacuum_back(throwaway: tuple[EmbeddedServer, str]) -> None:
    _, dsn = throwaway
    with db.connect(dsn) as connection:
        try:
            connection.execute("SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')")
            connection.execute("BEGIN; CREATE TABLE x (); PREPARE TRANSACTION 'left behind'")
            prepared, slot = look_at_horizon(dsn)
        finally:
            connection.execute("ROLLBACK PREPARED 'left behind'")
            connection.execute("SELECT pg_drop_replication_slot('forgotten')")
    assert prepared.found.startswith("prepared transaction: left behind")
    assert "ROLLBACK PREPARED 'left behind'" in prepared.mend
    assert slot.found == "unused replication slot: forgotten (pgoutput)"
    assert "pg_drop_replication_slot('forgotten')" in slot.mend


def look_at_horizon(dsn: str) -> list[Finding]:
    """Without the minute that a transaction may take."""
    with db.connect_to_read(dsn) as connection:
        return check_horizon(Look(connection, dsn), seconds=0)


def test_an_old_transaction_is_named_with_its_process_and_how_to_end_it(dsn: str) -> None:
    with db.connect(f"{dsn}&application_name=report") as other, other.transaction():
        other.execute("SELECT pg_current_xact_id()")
        pid = other.info.backend_pid
        finding = only(look_at_horizon(dsn))
        assert levels(found(dsn, "horizon")) == ["ok"]  # not old enough to be a finding
    assert re.match(rf"idle in transaction: process {pid} \(report\) by postgres, for \d+ s", finding.found)
    assert f"pg_terminate_backend({pid})" in finding.mend


def test_a_statement_that_runs_for_long_is_told_apart(dsn: str) -> None:
    with db.connect(dsn) as other:
        sleeping = threading.Thread(target=sleep_until_cancelled, args=(other,))
        sleeping.start()
        give_up_at = time.monotonic() + 30
        while not (findings := [f for f in look_at_horizon(dsn) if f.level is not Level.OK]):
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
        (finding,) = findings
        other.cancel_safe()
        sleeping.join()
    assert finding.found.startswith("transaction: process")


def sleep_until_cancelled(connection: db.Connection) -> None:
    with suppress(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(60)")


def test_a_transaction_of_another_database_is_no_finding(dsn: str, empty_dsn: str) -> None:
    with db.connect(empty_dsn) as other, other.transaction():
        other.execute("SELECT pg_current_xact_id()")
        assert levels(look_at_horizon(dsn)) == ["ok"]


# ── the schema and its tables ───────────────────────────────────────────────────


def test_a_database_without_a_schema_is_told_to_migrate(empty_dsn: str) -> None:
    findings = examine(empty_dsn)
    assert (findings[-1].check, findings[-1].level, findings[-1].mend) == ("schema", Level.BAD, "Run `buslog migrate`.")


def test_a_schema_of_another_revision_is_told_to_migrate(by_hand: BusByHand) -> None:
    by_hand.run("UPDATE buslog.schema_version SET version_num = '0000'")
    findings = examine(by_hand.dsn)
    assert findings[-1].found == f"revision 0000, this build needs revision {db.expected_revision()}"
    assert findings[-1].level is Level.BAD


@pytest.mark.parametrize(("left", "level"), [("6 days", "warn"), ("8 days", "ok"), ("-1 second", "bad")])
def test_partitions_that_end_soon(by_hand: BusByHand, left: str, level: str) -> None:
    by_hand.run("UPDATE buslog.partitions SET until_time = now() + %s::interval WHERE suffix LIKE 'm%%'", left)
    assert levels(found(by_hand.dsn, "partitions")) == [level]


def test_autovacuum_of_a_hot_table_is_off(by_hand: BusByHand) -> None:
    by_hand.run("ALTER TABLE buslog.workers SET (autovacuum_enabled = false)")
    finding = next(f for f in found(by_hand.dsn, "tables") if f.level is not Level.OK)
    assert (finding.level, finding.found) == (Level.BAD, "workers: autovacuum is off")
    by_hand.run(finding.mend)
    assert set(levels(found(by_hand.dsn, "tables"))) == {"ok"}


def test_storage_parameters_that_are_not_this_builds(by_hand: BusByHand) -> None:
    by_hand.run("ALTER TABLE buslog.deliveries SET (autovacuum_vacuum_scale_factor = 0.2)")
    by_hand.run("ALTER TABLE buslog.deliveries RESET (fillfactor)")
    finding = next(f for f in found(by_hand.dsn, "tables") if f.level is not Level.OK)
    assert finding.found == "deliveries: fillfactor unset, autovacuum_vacuum_scale_factor 0.2"
    by_hand.run(finding.mend)
    assert set(levels(found(by_hand.dsn, "tables"))) == {"ok"}


def test_dead_rows_that_nobody_removes(by_hand: BusByHand) -> None:
    by_hand.run("ALTER TABLE buslog.deliveries SET (autovacuum_enabled = false)")
    by_hand.run(
        """INSERT INTO buslog.deliveries (message_id, subscription_id, state, ready_seq)
           SELECT gen_random_uuid(), 1, 'pending', n FROM generate_series(1, 11000) AS n"""
    )
    by_hand.run("DELETE FROM buslog.deliveries WHERE ready_seq > 100")
    by_hand.run("SELECT pg_stat_force_next_flush()")
    finding = next(f for f in found(by_hand.dsn, "tables") if "dead rows" in f.found)
    assert (finding.level, finding.found) == (
        Level.WARN, "deliveries: 10,900 dead rows to 100 live ones; last autovacuum: never"
    )  # fmt: skip
    by_hand.run("VACUUM buslog.deliveries")
    assert not any("dead rows" in f.found for f in found(by_hand.dsn, "tables"))


def test_an_index_whose_build_broke_off(by_hand: BusByHand) -> None:
    by_hand.run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'buslog.dedupe_until'::regclass")
    finding = only(found(by_hand.dsn, "indexes"))
    assert (finding.level, finding.found) == (Level.BAD, "buslog.dedupe_until is not valid")
    by_hand.run(finding.mend)
    assert levels(found(by_hand.dsn, "indexes")) == ["ok"]


OTHER_INDEX = """DROP INDEX buslog.deliveries_ready;
    CREATE INDEX deliveries_ready ON buslog.deliveries (subscription_id) WHERE state = 'pending' AND NOT alone"""


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ("DROP INDEX buslog.deliveries_ready", "a claim does not read its index"),
        (OTHER_INDEX, "a claim does not read its index"),
        ("ALTER TABLE buslog.messages DROP CONSTRAINT messages_pkey", "the newest page of the Log is sorted"),
    ],
)
@pytest.mark.parametrize("rows", [0, 3000])
def test_an_index_that_is_gone(by_hand: BusByHand, trouble: str, told: str, rows: int) -> None:
    by_hand.subscribe("mail", "ordered")
    by_hand.run("SELECT buslog.emit('ordered', '{}') FROM generate_series(1, %s)", rows)
    by_hand.run("ANALYZE")
    assert levels(found(by_hand.dsn, "plans")) == ["ok"]
    with db.connect(by_hand.dsn) as connection:
        connection.execute(trouble)
    finding = only(found(by_hand.dsn, "plans"))
    assert finding.level is Level.BAD
    assert finding.found.startswith(told)


# ── the work ────────────────────────────────────────────────────────────────────


def test_subscriptions_that_nobody_hosts(by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "ordered")
    by_hand.subscribe("quiet", "never said")
    by_hand.emit("ordered")
    waits, quiet = found(by_hand.dsn, "subscriptions")
    assert (waits.level, waits.found) == (
        Level.BAD, "no live worker hosts mail; deliveries waiting: 1, the next for 0 s"
    )  # fmt: skip
    assert (quiet.level, quiet.found) == (Level.WARN, "no live worker hosts quiet; nothing waits for it yet")
    by_hand.start_worker()
    assert levels(found(by_hand.dsn, "subscriptions")) == ["ok"]


def test_many_findings_of_one_kind_are_cut(by_hand: BusByHand) -> None:
    for number in range(25):
        by_hand.subscribe(f"waits {number:02}", "ordered")
        by_hand.subscribe(f"quiet {number:02}", "never said")
    by_hand.emit("ordered")
    findings = found(by_hand.dsn, "subscriptions")
    assert [finding.found for finding in findings][-1] == "and 6 more like these"
    assert findings[0].found.startswith("no live worker hosts waits 00;")
    assert len(findings) == 21


def test_deliveries_of_a_subscription_that_is_off_the_bus(by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "ordered")
    by_hand.emit("ordered")
    by_hand.run("SELECT buslog.unregister('mail', ARRAY['ordered'])")
    assert only(found(by_hand.dsn, "subscriptions")).level is Level.BAD


def test_a_paused_subscription_is_a_finding_only_over_a_backlog(by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "ordered")
    by_hand.start_worker()
    by_hand.run("UPDATE buslog.subscriptions SET paused_at = now() - interval '3 hours'")
    assert levels(found(by_hand.dsn, "subscriptions")) == ["ok"]
    by_hand.emit("ordered")
    finding = only(found(by_hand.dsn, "subscriptions"))
    assert finding.level is Level.WARN
    assert re.fullmatch(r"mail has been paused for 3 h; deliveries waiting: 1, the next for \d+ s", finding.found)
    assert "buslog resume mail" in finding.mend


def test_a_sync_subscriber_that_nobody_hosts_holds_emits_up(by_hand: BusByHand) -> None:
    by_hand.subscribe("status", "departed")
    by_hand.run("UPDATE buslog.subscriptions SET mode = 'sync'")
    finding = only(found(by_hand.dsn, "subscriptions"))
    assert finding.level is Level.BAD
    assert finding.found.endswith("status, which is sync: each emit of its names waits BUSLOG_SYNC_WAIT for it")
    assert "`buslog unregister status`" in finding.mend
    by_hand.emit("departed")
    assert "deliveries waiting: 1" in only(found(by_hand.dsn, "subscriptions")).found
    by_hand.start_worker()
    assert levels(found(by_hand.dsn, "subscriptions")) == ["ok"]


def test_series_that_nobody_keeps(by_hand: BusByHand, monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand.run("SELECT buslog.emit('departed', '{}') FROM generate_series(1, 3)")
    assert only(found(by_hand.dsn, "series")).found == "not begun; 3 messages to add"
    by_hand.run("SELECT buslog.fold_series(100)")
    assert only(found(by_hand.dsn, "series")).found == "up to date"
    by_hand.run("SELECT buslog.emit('departed', '{}') FROM generate_series(1, 3)")
    assert only(found(by_hand.dsn, "series")).level is Level.OK
    by_hand.run("UPDATE buslog.messages SET emitted_at = emitted_at - interval '10 minutes'")
    finding = only(found(by_hand.dsn, "series"))
    assert (finding.level, "lack 3 messages, the first of 10 min ago" in finding.found) == (Level.WARN, True)
    by_hand.run("UPDATE buslog.messages SET source = 'import'")
    assert only(found(by_hand.dsn, "series")).level is Level.OK, "an imported time is no delay"
    monkeypatch.setattr(work, "BEHIND_SLOW", 2)
    finding = only(found(by_hand.dsn, "series"))
    assert (finding.level, finding.found) == (
        Level.BAD, "the series lack 2+ messages: charts of them take longer than a look may",
    )  # fmt: skip


def test_an_open_circuit(by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "ordered")
    by_hand.start_worker()
    by_hand.run("INSERT INTO buslog.flow (subscription_id, opened_at) SELECT id, now() FROM buslog.subscriptions")
    finding = only(found(by_hand.dsn, "subscriptions"))
    said = r"the circuit of mail has been open for \d+ s: what it calls is held to be down"
    assert re.fullmatch(said, finding.found)


def test_a_worker_that_stopped_beating_with_deliveries_that_nobody_rescues(by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "ordered")
    by_hand.emit("ordered")
    worker = by_hand.start_worker()
    by_hand.run("SELECT FROM buslog.claim(%s, ARRAY[1], NULL, 1)", worker)
    assert levels(found(by_hand.dsn, "leases")) == ["ok"]
    by_hand.run("UPDATE buslog.workers SET lease_until = now() - interval '30 seconds'")
    assert levels(found(by_hand.dsn, "leases")) == ["ok"]  # a live worker may be about to rescue it
    by_hand.run("UPDATE buslog.workers SET lease_until = now() - interval '3 hours'")
    finding = only(found(by_hand.dsn, "leases"))
    assert (finding.level, finding.found) == (
        Level.BAD, "host:1 stopped beating 3 h ago; deliveries still running under it: 1"
    )  # fmt: skip
    by_hand.run("DELETE FROM buslog.workers")
    assert only(found(by_hand.dsn, "leases")).found.startswith("a worker that is gone; deliveries still running")


# ── a role that may not see everything ──────────────────────────────────────────


@pytest.fixture
def small_role(by_hand: BusByHand) -> Iterator[str]:
    """A DSN of a role that has been granted nothing."""
    by_hand.run("CREATE ROLE onlooker LOGIN")
    yield by_hand.dsn.replace("postgresql://postgres@", "postgresql://onlooker@")
    by_hand.run("DROP OWNED BY onlooker")
    by_hand.run("DROP ROLE onlooker")


def test_a_role_without_rights_is_told_what_it_could_not_see(by_hand: BusByHand, small_role: str) -> None:
    with db.connect(by_hand.dsn) as other, other.transaction():
        other.execute("SELECT 1")
        findings = examine(small_role)
    unseen = [(finding.check, finding.found) for finding in findings if finding.level is Level.UNSEEN]
    assert unseen == [("horizon", "1 processes of other roles"), ("schema", "this role may not look into it")]
    assert all(finding.mend for finding in findings if finding.level is Level.UNSEEN)


def test_a_role_that_may_look_into_some_tables_is_told_of_the_others(by_hand: BusByHand, small_role: str) -> None:
    by_hand.run("GRANT USAGE ON SCHEMA buslog TO onlooker")
    assert levels(found(small_role, "schema")) == ["unseen"]
    by_hand.run("GRANT SELECT ON buslog.schema_version, buslog.partitions TO onlooker")
    by_check = {finding.check: finding for finding in examine(small_role)}
    assert (by_check["schema"].level, by_check["partitions"].level, by_check["tables"].level) == ("ok", "ok", "ok")
    unseen = {name: finding for name, finding in by_check.items() if finding.level is Level.UNSEEN}
    assert set(unseen) == {"plans", "subscriptions", "leases", "series"}
    assert {finding.mend for finding in unseen.values()} == {"Grant the right, or connect as a role that has it."}
    by_hand.run("GRANT SELECT ON ALL TABLES IN SCHEMA buslog TO onlooker")
    assert {finding.level for finding in examine(small_role)} <= {Level.OK, Level.UNSEEN}
    assert levels(found(small_role, "plans")) == ["ok"]


def test_a_look_that_takes_too_long_is_unseen(by_hand: BusByHand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "LOOK_MS", 100)
    with db.connect(by_hand.dsn) as other, other.transaction():
        other.execute("LOCK TABLE buslog.workers IN ACCESS EXCLUSIVE MODE")
        assert levels(found(by_hand.dsn, "leases")) == ["unseen"]
