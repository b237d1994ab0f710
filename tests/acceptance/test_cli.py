"""The command `buslog` as people meet it: a process, its two streams and its exit code."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from buslog import db
from buslog.cli import buslog as commands
from buslog.cli.processes import load_bus
from buslog.errors import Misconfigured

from .conftest import ROOT, wait_until

SHOP = '''
import asyncio
import time
from pydantic import BaseModel
from buslog import Bus, Message, RetryPolicy

bus = Bus()
not_a_bus = "bus"
ONCE = RetryPolicy(max_attempts=1)
SLOWLY = RetryPolicy(max_attempts=2, first_delay=600)

class Resync(BaseModel):
    """What to ask the carrier again."""
    shipmentId: str
    steps: int = 1

@bus.command("resyncTracking", payload=Resync, id="resync")
async def resync(message: Message[Resync]) -> dict:
    return {"steps": message.payload.steps, "said": "a \\u2028 b\\n", "list": [1, 2]}

@bus.command("explode", id="explode", retry=ONCE)
async def explode(message: Message) -> None:
    raise ValueError("boom")

@bus.on("ordered", id="mail", retry=ONCE)
def mail(message: Message) -> None:
    raise TimeoutError("the mail server refuses")

@bus.on("ordered", id="later", retry=SLOWLY)
def later(message: Message) -> None:
    raise TimeoutError("the carrier does not answer")

@bus.on("ordered", id="ship")
async def ship(message: Message) -> None: ...

@bus.on("napped", id="nap")
async def nap(message: Message) -> None:
    await asyncio.sleep(message.payload["seconds"])
'''


def environment(dsn: str, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BUSLOG_")}
    path = os.pathsep.join(part for part in (str(ROOT / "src"), kept.get("PYTHONPATH", "")) if part)
    return {**kept, "PYTHONPATH": path, "BUSLOG_DSN": dsn, **more}


class Cli:
    """Runs the command on one database, in a folder that holds the application `shop`."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.dsn = dsn
        self.folder = folder
        (folder / "shop.py").write_text(SHOP)

    def __call__(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] = {}) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "buslog", *arguments], cwd=self.folder, env=environment(self.dsn, **env),
            input=stdin, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "buslog", *arguments], cwd=self.folder, env=environment(self.dsn), **more
        )


class Done:
    """How a command ended. Whatever it was, it must not have been a traceback."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        assert "Traceback" not in err, err

    @property
    def error(self) -> str:
        """The last line on stderr."""
        return self.err.strip().rsplit("\n", 1)[-1]


@pytest.fixture
def cli(dsn18: str, tmp_path: Path) -> Cli:
    return Cli(dsn18, tmp_path)


@pytest.fixture
def connection(dsn18: str) -> Any:
    with db.connect(dsn18) as opened:
        yield opened


@pytest.fixture
def worker(cli: Cli, connection: db.Connection) -> Any:
    process = cli.start("worker", "shop:bus", stderr=subprocess.PIPE)
    wait_until(lambda: value(connection, "SELECT count(*) FROM buslog.workers") == 1)
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


def value(connection: db.Connection, statement: Any, *values: Any) -> Any:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return row[0]


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


def test_without_a_schema_every_command_points_to_migrate_which_makes_it_once(empty_dsn: str, tmp_path: Path) -> None:
    cli = Cli(empty_dsn, tmp_path)
    done = cli("emit", "x")
    assert done.code == 2
    assert "Run `buslog migrate`" in done.error
    assert cli("migrate").out == "schema none → 0001\n"
    assert cli("migrate").out == "schema 0001, nothing to do\n"
    assert cli("emit", "x").code == 0


def test_a_bare_folder_gets_an_embedded_database_that_is_stopped_again(tmp_path: Path) -> None:
    cli = Cli("", tmp_path)
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


def test_a_command_that_nobody_runs_ends_with_1_and_says_so(cli: Cli, worker: Any) -> None:
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=20)
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
    assert cli("replay", message, "ship").out == f"{message}\tship\n"
    assert cli("run-now", message).out == f"{message}\tlater\n"
    wait_until(lambda: states() == {"mail": "failed 1", "later": "failed 2", "ship": "succeeded 1"})
    assert cli("cancel", message, "mail").out == f"{message}\tmail\n"
    assert states()["mail"] == "cancelled 1"
    refused = cli("run-now", message)
    assert refused.code == 1
    assert "has a delivery that is retrying or scheduled (was cancelled, failed, succeeded)" in refused.error
    assert connection.execute("SELECT verb, subscription, reason FROM buslog.operations ORDER BY id").fetchall() == [
        ("emit", None, None), ("replay", "mail", "the server is back"), ("replay", "ship", None),
        ("run now", "later", None), ("cancel", "mail", None),
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


@pytest.mark.parametrize("command", ["replay", "run-now", "cancel"])
def test_a_message_that_does_not_exist_ends_with_1_and_an_id_that_is_none_with_2(cli: Cli, command: str) -> None:
    done = cli(command, str(uuid.uuid4()))
    assert done.code == 1
    assert "message: exists" in done.error
    assert cli(command, str(uuid.uuid4()), "nobody").code == 1
    assert cli(command, "42").code == 2


# ── export and import ───────────────────────────────────────────────────────────


def history(*, bad: bytes = b"", count: int = 50) -> bytes:
    lines = [
        json.dumps({
            "name": f"name {n % 3}", "key": f"S-{n}", "emitted_at": f"2011-0{n % 9 + 1}-02T03:04:05.{n:06}+02:00",
            "payload": {"n": n, "text": 'quote " comma , line\n'},
        }).encode()
        for n in range(count)
    ]  # fmt: skip
    return b"\n".join([*lines, bad, b""])


IMPORTING = """SELECT pid FROM pg_stat_activity WHERE query LIKE '%COPY import_lines%'
               AND datname = current_database() AND pid <> pg_backend_pid()"""


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines(keepends=True)))


def test_what_was_imported_is_exported_with_its_own_times_keys_and_payloads(cli: Cli) -> None:
    (cli.folder / "history.jsonl").write_bytes(history())
    assert cli("import", "history.jsonl").out == "added 50, known 0\n"
    rows = table(cli("export").out)
    assert list(rows[0]) == [
        "message_id", "kind", "name", "key", "emitted_at", "subscription", "mode", "state", "attempts",
        "last_error_type", "last_error", "finished_at", "correlation_id", "causation_id", "payload",
    ]  # fmt: skip
    found = sorted((row["key"], row["emitted_at"], row["state"], json.loads(row["payload"])["n"]) for row in rows)
    assert found == sorted(
        (f"S-{n}", f"2011-0{n % 9 + 1}-02T01:04:05.{n:06}Z", "imported", n) for n in range(50)
    )  # fmt: skip


def test_importing_a_file_twice_adds_nothing_and_is_no_failure(cli: Cli, connection: db.Connection) -> None:
    cli("import", "-", stdin=history())
    done = cli("import", "-", stdin=history())
    assert (done.code, done.out) == (0, "added 0, known 50\n")
    assert value(connection, "SELECT outcome ->> 'origin' FROM buslog.operations LIMIT 1") == "stdin"


def test_a_bad_line_is_named_ends_with_2_and_nothing_is_imported(cli: Cli, connection: db.Connection) -> None:
    bad = b'{"name": "x", "key": "k", "emitted_at": "2012-01-23T15:42:54", "payload": {"a": "hunter2"}}'
    (cli.folder / "history.jsonl").write_bytes(history(bad=bad))
    done = cli("import", "history.jsonl")
    assert (done.code, done.out) == (2, "")
    assert done.error == (
        "Error: line 51, emitted_at: has an offset from UTC (was '2012-01-23T15:42:54'). "
        "Write it as 2012-01-23T15:42:54.644+01:00."
    )
    assert value(connection, "SELECT count(*) FROM buslog.messages") == 0


def test_an_import_whose_database_breaks_off_ends_with_1_and_imports_nothing(
    cli: Cli, connection: db.Connection
) -> None:
    process = cli.start("import", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(history())
    process.stdin.flush()
    wait_until(lambda: connection.execute(IMPORTING).fetchone())
    connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({IMPORTING}) AS p")
    out, err = process.communicate(history(count=2000), timeout=60)
    assert (process.returncode, out) == (1, b"")
    assert b"Error: database: answers" in err
    assert b"Traceback" not in err
    assert value(connection, "SELECT count(*) FROM buslog.messages") == 0


def test_an_import_that_is_interrupted_imports_nothing(cli: Cli, connection: db.Connection) -> None:
    process = cli.start("import", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(history())
    process.stdin.flush()
    wait_until(lambda: connection.execute(IMPORTING).fetchone())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert value(connection, "SELECT count(*) FROM buslog.messages") == 0


def test_export_is_filtered_by_key_name_state_and_time(cli: Cli) -> None:
    cli("import", "-", stdin=history())
    cli("emit", "name 1", "{}", "--key", "S-7")

    def keys(*options: str) -> list[str]:
        return sorted(row["key"] for row in table(cli("export", *options).out))

    assert keys("--key", "S-7") == ["S-7", "S-7"]
    assert keys("--key", "S-7", "--state", "imported") == ["S-7"]
    assert keys("--state", "unrouted", "--state", "failed") == ["S-7"]
    assert len(keys("--name", "name 1", "--name", "name 2", "--state", "imported")) == 33
    assert keys("--from", "2011-09-02", "--to", "2011-09-02T01:04:05.000010Z") == ["S-8"]
    assert keys("--key", "nobody") == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--state", "faild"], "Did you mean failed?"),
        (["--from", "yesterday"], "from: is a date or time in ISO 8601"),
    ],
)
def test_a_nonsense_filter_ends_with_2(cli: Cli, options: list[str], told: str) -> None:
    done = cli("export", *options)
    assert (done.code, done.out) == (2, "")
    assert told in done.error


def test_a_reader_that_has_enough_ends_an_export_quietly(cli: Cli, connection: db.Connection) -> None:
    cli("import", "-", stdin=history(count=8_000))
    process = cli.start("export", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(100)
    process.stdout.close()
    told = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=30) == 0
    assert told.startswith("Database: ")
    assert told.count("\n") == 1
    wait_until(lambda: value(connection, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%%'") == 0)


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
    assert worker.wait(timeout=20) == 0
    assert value(connection, "SELECT state FROM buslog.log") == "succeeded"


def test_a_second_ctrl_c_ends_a_worker_at_once(cli: Cli, worker: Any, connection: db.Connection) -> None:
    cli("emit", "napped", '{"seconds": 60}')
    wait_until(lambda: value(connection, "SELECT count(*) FROM buslog.deliveries WHERE state = 'running'") == 1)
    worker.send_signal(signal.SIGINT)
    for line in worker.stderr:
        if b"Stopping" in line:
            break
    worker.send_signal(signal.SIGINT)
    assert worker.wait(timeout=2) == 130
