"""Every command: what it prints, what it refuses, and the code it ends with."""

from __future__ import annotations

import json
import signal
import sys
import uuid
from pathlib import Path
from typing import Any

import click
import pytest

from buslog import db
from buslog.cli import buslog as commands
from buslog.cli.processes import load_bus
from buslog.errors import Misconfigured

from ..conftest import wait_until
from .conftest import SHOP, Cli, value
from .warm import Starter

# ── help ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [None, *commands.commands])
def test_every_command_explains_itself_with_an_example(name: str | None) -> None:
    command = commands.commands[name] if name else commands
    text = command.get_help(click.Context(command, info_name="buslog"))
    assert f"  buslog {name or ''}" in text.split("Examples:")[1] or "buslog migrate" in text


def test_the_exit_codes_are_told_and_a_mistyped_command_is_answered_with_the_near_one(cli: Cli) -> None:
    assert "Exit codes:\n    0    done\n    1    failed" in cli("--help").out
    done = cli("exprt")
    assert done.code == 2
    assert "Did you mean 'export'?" in done.error


# ── emit ────────────────────────────────────────────────────────────────────────


def test_emit_prints_the_id_alone_on_stdout_and_the_database_on_stderr(cli: Cli, connection: db.Connection) -> None:
    done = cli("emit", "T02 Check", '{"shipmentId": "S-42"}')
    assert (done.code, done.err.split()[:2]) == (0, ["Database:", "PostgreSQL"])
    found = connection.execute(
        "SELECT name, key, source, payload FROM buslog.messages WHERE id = %s", (done.out.strip(),)
    )
    assert found.fetchall() == [
        ("T02 Check", "S-42", "cli", {"shipmentId": "S-42"})
    ]  # fmt: skip


def test_a_payload_is_read_from_stdin_or_from_a_file(cli: Cli, connection: db.Connection) -> None:
    (cli.folder / "payload.json").write_bytes(b'\xef\xbb\xbf{"from": "f\xc3\xbcle"}')
    cli("emit", "x", "-", "--key", "k-1", stdin=b'{"from": "stdin"}')
    cli("emit", "x", "@payload.json", "--key", "k-2")
    cli("emit", "x", "--key", "k-3")
    assert connection.execute("SELECT key, payload FROM buslog.messages ORDER BY key").fetchall() == [
        ("k-1", {"from": "stdin"}), ("k-2", {"from": "füle"}), ("k-3", {})
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["x", "[1]"], "payload: is a JSON object (was list)"),
        (["x", '{"a": "hunter2" oops}'], "payload: is JSON (was Expecting ',' delimiter at line 1 column 17)"),
        (["x", '{"a": NaN}'], "payload.a: is a finite number"),
        (["x", '{"a": "hunter2\\u0000"}'], "payload.a: has no NUL character"),
        (["x", '{"a":' * 20000 + "1" + "}" * 20000], "is nested at most 64 deep"),
        (["x", '{"a": ' + "9" * 5000 + "}"], "payload: has numbers of at most 4000 digits"),
        (["x", "@large.json"], "payload: is at most 1 MB as JSON text"),
        (["x", "@absent.json"], "absent.json: No such file or directory"),
        (["", "{}"], "name: has 1 to 200 characters"),
        (["x" * 300, "{}"], "name: has 1 to 200 characters (was 300 characters"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_bad_emit_is_refused_in_one_line_that_does_not_repeat_the_payload(
    cli: Cli, connection: db.Connection, arguments: list[str], told: str
) -> None:
    (cli.folder / "large.json").write_text(json.dumps({"a": "hunter2" * 200_000}))
    done = cli("emit", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.error.startswith("Error: ")
    assert told in done.error
    assert "hunter2" not in done.err
    assert value(connection, "SELECT count(*) FROM buslog.messages") == 0


# ── the database ────────────────────────────────────────────────────────────────


DOWN = "postgresql://ann:hunter2@127.0.0.1:1/orders"


@pytest.mark.parametrize(
    ("dsn", "told", "command"),
    [
        *((DOWN, "PostgreSQL orders at 127.0.0.1:1 does not", command)
          for command in ("emit x", "export", "import -", "migrate", "worker shop:bus", "up")),
        ("hunter2 is no DSN", "BUSLOG_DSN: is a PostgreSQL URL or conninfo string", "emit x"),
        ("postgresql://ann:hunter2@nowhere.invalid/orders", "at nowhere.invalid:5432 does not", "emit x"),
    ],
)  # fmt: skip
def test_a_wrong_dsn_ends_with_2_and_the_password_is_never_shown(cli: Cli, dsn: str, told: str, command: str) -> None:
    done = cli(*command.split(), env={"BUSLOG_DSN": dsn, "BUSLOG_PORT": "18499"})
    assert (done.code, done.out) == (2, "")
    assert told in done.error
    assert "hunter2" not in done.err


def test_a_database_that_does_not_exist_ends_with_2(cli: Cli) -> None:
    done = cli("emit", "x", env={"BUSLOG_DSN": cli.dsn.replace("@/t", "@/nope")})
    assert done.code == 2
    assert "PostgreSQL nope" in done.error


def test_a_wrong_setting_ends_with_2_and_names_the_variable(cli: Cli) -> None:
    done = cli("emit", "x", env={"BUSLOG_LEASE": "soon"})
    assert done.code == 2
    assert "BUSLOG_LEASE" in done.error


def test_without_a_schema_every_command_points_to_migrate_which_makes_it_once(
    empty_dsn: str, tmp_path: Path, starter: Starter
) -> None:
    cli = Cli(empty_dsn, tmp_path, starter)
    done = cli("emit", "x")
    assert done.code == 2
    assert "Run `buslog migrate`" in done.error
    assert cli("migrate").out == "schema none → 0001\n"
    assert cli("migrate").out == "schema 0001, nothing to do\n"
    assert cli("emit", "x").code == 0


def test_a_bare_folder_gets_an_embedded_database_that_is_stopped_again(tmp_path: Path, starter: Starter) -> None:
    cli = Cli("", tmp_path, starter)
    done = cli("emit", "x")
    assert done.code == 0, done.err
    assert f"Database: embedded PostgreSQL 18 in {tmp_path}/.buslog" in done.err
    assert not (tmp_path / ".buslog" / "postgres" / "postmaster.pid").exists()
    assert done.out.strip() in cli("export").out


# ── run, replay, run-now, cancel ────────────────────────────────────────────────


def test_a_command_is_run_and_its_result_is_printed_on_the_line_after_its_id(cli: Cli, worker: Any) -> None:
    done = cli("run", "resyncTracking", '{"shipmentId": "S-42", "steps": 3}', "--wait", "20")
    assert done.code == 0, done.err
    first, second = done.out.removesuffix("\n").split("\n")
    assert uuid.UUID(first)
    assert json.loads(second) == {"steps": 3, "said": "a \u2028 b\n", "list": [1, 2]}


def test_a_command_is_run_for_each_row_of_a_file_or_not_at_all(
    cli: Cli, worker: Any, connection: db.Connection
) -> None:
    done = cli("run", "resyncTracking", "--csv", "-", stdin=b"shipmentId;steps\nS-1;3\nS-2;x\n")
    assert (done.code, done.out) == (2, "")
    assert "row 3, column steps: is a whole number" in done.error
    assert cli("run", "resyncTracking", "{}", "--csv", "-", "--key", "S-1").code == 2
    assert connection.execute("SELECT count(*) FROM buslog.messages").fetchone() == (0,)
    done = cli("run", "resyncTracking", "--csv", "-", "--json", stdin=b"shipmentId;steps\nS-1;3\nS-2;4\n")
    assert (done.code, done.document["count"]) == (0, 2)
    found = connection.execute("SELECT key, correlation_id::text FROM buslog.messages ORDER BY id").fetchall()
    assert found == [("S-1", done.document["batch"]), ("S-2", done.document["batch"])]


def test_a_command_that_fails_ends_with_1_and_says_why(cli: Cli, worker: Any) -> None:
    done = cli("run", "explode", "--wait", "20")
    assert done.code == 1
    assert done.error == "The command ended failed: ValueError: boom"


def test_an_unknown_command_and_a_payload_against_the_schema_are_refused(cli: Cli, worker: Any) -> None:
    done = cli("run", "resyncTrackin")
    assert (done.code, done.out) == (2, "")
    assert "Did you mean resyncTracking?" in done.error
    done = cli("run", "resyncTracking", '{"shipmentId": "S-42", "steps": "hunter2"}')
    assert (done.code, done.out) == (2, "")
    assert "payload.steps: keeps the command's schema" in done.error
    assert "hunter2" not in done.err
    done = cli("run", "resyncTracking", '{"steps": 2}')
    assert done.error.endswith("(was without shipmentId, limit shipmentId). Give it shipmentId.")


def test_a_command_that_nobody_runs_ends_with_1_and_says_so(cli: Cli, worker: Any) -> None:
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=60)
    done = cli("run", "explode", "--wait", "0.5")
    assert done.code == 1
    assert done.error == "The command has not ended within 0.5 s; it is pending. No live worker runs it."


def test_replay_run_now_and_cancel_move_what_they_name_and_are_audited(
    cli: Cli, worker: Any, connection: db.Connection
) -> None:
    message = cli("emit", "ordered", '{"shipmentId": "S-42"}').out.strip()

    def states() -> dict[str, str]:
        found = connection.execute(
            "SELECT subscription, state, attempts FROM buslog.log WHERE message_id = %s", (message,)
        )
        return {row[0]: f"{row[1]} {row[2]}" for row in found.fetchall()}

    wait_until(lambda: states() == {"mail": "failed 1", "later": "retrying 1", "ship": "succeeded 1"})
    assert cli("replay", message, "--reason", "the server is back").out == f"{message}\tmail\n"
    refused = cli("replay", message, "ship")
    assert (refused.code, "given for a replay of what has succeeded" in refused.error) == (1, True)
    assert cli("replay", message, "ship", "--reason", "lost").out == f"{message}\tship\n"
    assert cli("run-now", message).out == f"{message}\tlater\n"
    wait_until(lambda: states() == {"mail": "failed 1", "later": "failed 2", "ship": "succeeded 1"})
    assert "is given for a cancel of what has failed" in cli("cancel", message, "mail").error
    assert cli("cancel", message, "mail", "--reason", "no use").out == f"{message}\tmail\n"
    assert states()["mail"] == "cancelled 1"
    refused = cli("run-now", message)
    assert refused.code == 1
    assert "has a delivery that is retrying or scheduled (was cancelled, failed, succeeded)" in refused.error
    assert connection.execute("SELECT verb, subscription, reason FROM buslog.operations ORDER BY id").fetchall() == [
        ("emit", None, None), ("replay", "mail", "the server is back"), ("replay", "ship", "lost"),
        ("run now", "later", None), ("cancel", "mail", "no use"),
    ]  # fmt: skip


def test_a_paused_subscription_holds_what_is_emitted_until_it_is_resumed(
    cli: Cli, worker: Any, connection: db.Connection
) -> None:
    assert cli("pause", "ship", "--reason", "port is closed").out == "ship\tpaused\n"
    message = cli("emit", "ordered", '{"shipmentId": "S-42"}').out.strip()
    state = "SELECT state FROM buslog.log WHERE message_id = %s AND subscription = 'ship'"
    wait_until(lambda: connection.execute("SELECT FROM buslog.attempts").fetchall())
    assert connection.execute(state, (message,)).fetchone() == ("pending",)
    assert cli("resume", "ship").out == "ship\tresumed\n"
    wait_until(lambda: connection.execute(state, (message,)).fetchone() == ("succeeded",))
    unknown = cli("pause", "shop")
    assert unknown.code == 1
    assert "Did you mean ship?" in unknown.error


def test_a_note_is_written_about_a_key_or_a_message(cli: Cli, connection: db.Connection) -> None:
    message = cli("emit", "departed", '{"shipmentId": "S-42"}').out.strip()
    number = cli("note", "customer was called", "--key", "S-42").out.strip()
    done = cli("note", "sent by hand", "--message", message, "--json")
    assert (done.code, done.document) == (0, {"note": int(number) + 1})
    assert connection.execute("SELECT about::text, subject, note FROM buslog.notes ORDER BY id").fetchall() == [
        ("key", "S-42", "customer was called"), ("message", message, "sent by hand"),
    ]  # fmt: skip
    assert "exists" in cli("note", "lost", "--key", "S-43").error
    assert cli("note", "about what?").code == 2


def test_what_its_code_left_behind_is_taken_off_the_bus(cli: Cli, connection: db.Connection) -> None:
    connection.execute("SELECT buslog.register('old', '{ordered}', 'event', '{}', NULL, '', 'test')")
    assert cli("unregister", "old", "--reason", "moved").out == "old\toff the bus\n"
    assert cli("unregister", "old", "--json").document == {"subscription": "old", "registered": False, "changed": False}
    assert connection.execute("SELECT verb, subscription, reason FROM buslog.operations").fetchall() == [
        ("unregister", "old", "moved"),
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["replay", "run-now", "cancel"])
def test_a_message_that_does_not_exist_ends_with_1_and_an_id_that_is_none_with_2(cli: Cli, command: str) -> None:
    done = cli(command, str(uuid.uuid4()))
    assert done.code == 1
    assert "message: exists" in done.error
    assert cli(command, str(uuid.uuid4()), "nobody").code == 1
    assert cli(command, "42").code == 2


# ── worker ──────────────────────────────────────────────────────────────────────


def test_what_is_not_a_bus_ends_with_2(cli: Cli) -> None:
    done = cli("worker", "shop:buss")
    assert done.code == 2
    assert done.error == (
        "Error: MODULE:BUS: names a Bus in shop (was buss, which is not there). Did you mean bus?"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("bus", "told"),
    [
        ("myshop", "names a module and the Bus in it (was myshop)"),
        (":bus", "names a module and the Bus in it (was :bus)"),
        ("mysh:bus", "was no module mysh"),
        ("myshop.parts:bus", "was no module myshop.parts"),
        ("myshop:not_a_bus", "not_a_bus, which is a str"),
        ("broken:bus", r"broken raised (was ModuleNotFoundError at broken.py:1: No module named 'absent')"),
        ("raising:bus", r"raising raised (was ZeroDivisionError at raising.py:2: division by zero)"),
        ("unreadable:bus", r"unreadable raised (was SyntaxError"),
    ],
)
def test_a_module_without_a_bus_is_told_with_what_is_wrong_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bus: str, told: str
) -> None:
    for name, text in {
        "myshop": SHOP, "broken": "import absent\n", "raising": "x = 0\n1 / x\n", "unreadable": "def (:\n",
    }.items():  # fmt: skip
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "myshop", raising=False)
    with pytest.raises(Misconfigured) as caught:
        load_bus(bus)
    assert told in str(caught.value)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_is_told_to_stop_lets_what_runs_finish_and_ends_with_0(
    cli: Cli, worker: Any, connection: db.Connection, number: int
) -> None:
    cli("emit", "napped", '{"seconds": 2}')
    wait_until(lambda: value(connection, "SELECT count(*) FROM buslog.deliveries WHERE state = 'running'") == 1)
    worker.send_signal(number)
    assert worker.wait(timeout=60) == 0
    assert value(connection, "SELECT state FROM buslog.log") == "succeeded"


def test_a_second_ctrl_c_ends_a_worker_at_once(cli: Cli, worker: Any, connection: db.Connection) -> None:
    cli("emit", "napped", '{"seconds": 60}')
    wait_until(lambda: value(connection, "SELECT count(*) FROM buslog.deliveries WHERE state = 'running'") == 1)
    worker.send_signal(signal.SIGINT)
    for line in worker.stderr:
        if b"Stopping" in line:
            break
    worker.send_signal(signal.SIGINT)
    assert worker.wait(timeout=15) == 130, "the grace is 30 s"
