"""`--json`: one document on stdout, the five fields of an error on stderr, the same exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import uuid
from typing import Any

import click
import pytest

from buslog import db
from buslog.cli import buslog as commands

from ..conftest import wait_until
from .conftest import Cli, value

NOBODY = uuid.UUID(int=1)  # no message's id


@pytest.mark.parametrize("name", commands.commands)
def test_every_command_takes_json(name: str) -> None:
    command = commands.commands[name]
    assert "--json" in command.get_help(click.Context(command, info_name="buslog"))


@pytest.mark.parametrize("name", commands.commands)
def test_the_list_of_commands_has_a_whole_sentence_for_each(name: str) -> None:
    left = 80 - len("  unregister  ") - 2  # of a terminal's line
    assert commands.commands[name].get_short_help_str(left).endswith(".")
    assert not commands.commands[name].get_short_help_str(left).endswith("...")


def test_migrate(empty_cli: Cli) -> None:
    done = empty_cli("migrate", "--json")
    assert (done.code, done.err, done.document) == (0, "", {"before": None, "after": "0001"})
    assert empty_cli("migrate", "--json").document == {"before": "0001", "after": "0001"}


def test_emit(cli: Cli, connection: db.Connection) -> None:
    done = cli("emit", "x", "{}", "--json")
    assert (done.code, done.err) == (0, "")
    assert value(connection, "SELECT id::text FROM buslog.messages") == done.document["message_id"]


def test_run_without_a_wait_and_with_one(cli: Cli, worker: Any) -> None:
    payload = '{"shipmentId": "S-42", "steps": 3}'
    done = cli("run", "resyncTracking", payload, "--json")
    assert (done.code, list(done.document)) == (0, ["message_id"])
    done = cli("run", "resyncTracking", payload, "--wait", "20", "--json")
    assert (done.code, done.err) == (0, "")
    assert uuid.UUID(done.document.pop("message_id"))
    assert done.document["state"] == "succeeded"
    assert done.document["result"] == {"steps": 3, "said": "a \u2028 b\n", "list": [1, 2]}


def test_a_run_that_fails_tells_on_both_streams(cli: Cli, worker: Any) -> None:
    done = cli("run", "explode", "--wait", "20", "--json")
    assert done.code == 1
    told = (done.document["state"], done.document["error_type"], done.document["error"], done.document["result"])
    assert told == ("failed", "ValueError", "boom", None)
    assert done.fields["was"] == "failed: ValueError: boom"


def test_a_run_that_nobody_carries_out_in_time(cli: Cli, worker: Any) -> None:
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=60)
    done = cli("run", "explode", "--wait", "0.2", "--json")
    assert (done.code, done.document["state"]) == (1, "pending")
    assert done.fields["limit"] == "0.2 s"


def test_replay_run_now_and_cancel(cli: Cli, worker: Any, connection: db.Connection) -> None:
    message = cli("emit", "ordered", '{"shipmentId": "S-42"}', "--json").document["message_id"]

    def states() -> dict[str, str]:
        return dict(connection.execute("SELECT subscription, state FROM buslog.log").fetchall())

    wait_until(lambda: states() == {"mail": "failed", "later": "retrying", "ship": "succeeded"})
    for verb, subscription in (("run-now", "later"), ("replay", "mail"), ("cancel", "later")):
        wait_until(lambda: states()["later"] in {"retrying", "failed"} and states()["mail"] == "failed")
        done = cli(verb, message, subscription, "--json", "--reason", "of no use")
        moved = {"deliveries": [{"message_id": message, "subscription": subscription}]}
        assert (done.code, done.err, done.document) == (0, "", moved)


def test_pause_and_resume(cli: Cli, worker: Any) -> None:
    for verb, changed, paused in (
        ("pause", True, True), ("pause", False, True), ("resume", True, False), ("resume", False, False)
    ):  # fmt: skip
        done = cli(verb, "ship", "--json")
        assert (done.code, done.err) == (0, "")
        assert done.document == {"subscription": "ship", "paused": paused, "changed": changed}


def test_export_gives_a_line_for_each_row_with_its_texts_as_they_are(cli: Cli) -> None:
    payload = '{"text": "a \\" \\\\ \\u0001 \\n \\u2028, b"}'
    big = '{"n": 123456789012345678901234567890}'
    cli("emit", "=1+1", payload, "--key", '+"k", x')
    cli("emit", "plain", big)
    done = cli("export", "--json")
    assert (done.code, done.err) == (0, "")
    first, second = (json.loads(line) for line in done.out.removesuffix("\n").split("\n"))
    assert (first["name"], first["key"], first["state"], first["subscription"]) == ("plain", None, "unrouted", None)
    assert (second["name"], second["key"]) == ("=1+1", '+"k", x')
    assert second["payload"] == {"text": 'a " \\ \x01 \n \u2028, b'}
    assert first["payload"] == {"n": 123456789012345678901234567890}
    assert list(first) == [
        "message_id", "kind", "name", "key", "emitted_at", "subscription", "mode", "state", "attempts",
        "last_error_type", "last_error", "finished_at", "correlation_id", "causation_id", "payload",
    ]  # fmt: skip
    assert cli("export", "--json", "--key", "nobody").out == ""


def test_import(cli: Cli) -> None:
    line = json.dumps({"name": "x", "emitted_at": "2011-01-02T03:04:05+02:00", "payload": {}}).encode()
    done = cli("import", "-", "--json", stdin=line)
    assert (done.code, done.err) == (0, "")
    assert done.document == {
        "added": 1, "known": 0, "lines": 1, "first": "2011-01-02T01:04:05Z", "last": "2011-01-02T01:04:05Z"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "field", "told"),
    [
        (["emit", "x", "[1]"], 2, "payload", "is a JSON object"),
        (["emit"], 2, "command line", "Missing argument 'NAME'"),
        (["emit", "x", "@absent.json"], 2, "command line", "absent.json"),
        (["run", "x"], 2, "command", "is registered"),
        (["replay", str(NOBODY)], 1, "message", "exists"),
        (["run-now", "42"], 2, "command line", "not a valid UUID"),
        (["cancel", str(NOBODY), "nobody"], 1, "delivery", "exists"),
        (["pause", "nobody"], 1, "subscription", "exists"),
        (["resume", "nobody"], 1, "subscription", "exists"),
        (["export", "--state", "faild"], 2, "state", "is"),
        (["import", "absent.jsonl"], 2, "command line", "absent.jsonl"),
        (["exprt"], 2, "command line", "No such command"),
        (["metrics", "--serve", "here"], 2, "command line", "HOST:PORT"),
    ],
    ids=lambda given: " ".join(given)[:20] if isinstance(given, list) else "",
)
def test_an_error_is_an_object_with_five_fields(
    cli: Cli, arguments: list[str], code: int, field: str, told: str
) -> None:
    done = cli(*arguments, "--json")
    assert (done.code, done.out) == (code, "")
    assert done.fields["field"] == field
    assert told in done.fields["rule"]
    assert "--json" not in cli(*arguments).err.split("Try")[0]  # the same without: for people
    assert cli(*arguments).code == code


@pytest.mark.parametrize(
    "command", ["emit x", "export", "doctor", "metrics", "migrate", "worker shop:bus", "up", "dashboard"]
)
def test_a_database_that_is_down_is_told_without_its_password(cli: Cli, command: str) -> None:
    down = {"BUSLOG_DSN": "postgresql://ann:hunter2@127.0.0.1:1/orders", "BUSLOG_PORT": "18498"}
    done = cli(*command.split(), "--json", env=down)
    assert (done.code, done.out) == (2, "")
    told = json.loads(done.err.strip().rsplit("\n", 1)[-1])
    assert (told["field"], told["was"]) == ("database", "PostgreSQL orders at 127.0.0.1:1 does not")
    assert "hunter2" not in done.err


def test_what_follows_two_dashes_is_an_argument(cli: Cli, connection: db.Connection) -> None:
    assert cli("emit", "--", "--json").out.count("-") == 4
    assert value(connection, "SELECT name FROM buslog.messages") == "--json"


def test_a_worker_says_that_it_runs_and_logs_json(cli: Cli) -> None:
    process = cli.start("worker", "shop:bus", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    started = json.loads(process.stdout.readline())
    assert started["worker"].endswith(f":{process.pid}")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    lines = [json.loads(line) for line in err.splitlines()]
    assert "The worker runs; Ctrl-C stops it." in [line["message"] for line in lines]
    assert {line["worker"] for line in lines} == {started["worker"]}
