"""doctor and metrics, as a person, a timer and Prometheus meet them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from typing import Any

import pytest

from buslog import db
from tests.ports import free_port

from .conftest import Cli, Done, environment


def test_doctor_says_what_to_do_and_ends_with_1_and_with_0_when_all_is_well(
    cli: Cli, connection: db.Connection, worker: Any
) -> None:
    done = cli("doctor")
    assert (done.code, done.error.split(":")[0]) == (0, "Database")
    assert "ok     subscriptions  6 on the bus, all hosted by live workers\n" in done.out
    cli("pause", "ship")
    cli("emit", "ordered")
    done = cli("doctor")
    assert done.code == 1
    assert "warn   subscriptions  ship has been paused for" in done.out
    assert "                      → `buslog resume ship`, when its cause is gone.\n" in done.out
    json_done = cli("doctor", "--json")
    assert (json_done.code, json_done.err, json_done.document["ok"]) == (1, "", False)
    (finding,) = [f for f in json_done.document["findings"] if f["level"] != "ok"]
    assert list(finding) == ["check", "level", "found", "mend"]
    assert (finding["check"], finding["level"]) == ("subscriptions", "warn")
    cli("resume", "ship")
    assert cli("doctor", "--json").document["ok"] is True


def test_doctor_looks_at_a_database_without_a_schema(empty_cli: Cli) -> None:
    done = empty_cli("doctor")
    assert done.code == 1
    assert done.out.endswith("bad    schema         there is none\n                      → Run `buslog migrate`.\n")
    with db.connect(empty_cli.dsn) as connection:
        assert connection.execute("SELECT FROM pg_namespace WHERE nspname = 'buslog'").fetchone() is None


@pytest.mark.parametrize(("shift", "told"), [(3600, "the database is 60 min behind"), (-90_000, "25 h ahead of")])
def test_doctor_sees_that_this_machines_clock_is_another(cli: Cli, shift: int, told: str) -> None:
    clock = f"import time\n_real = time.time\ntime.time = lambda: _real() + {shift}\n"
    (cli.folder / "sitecustomize.py").write_text(clock)
    path = f"{cli.folder}{os.pathsep}{environment(cli.dsn)['PYTHONPATH']}"
    process = cli.start(
        "doctor", "--json", env=environment(cli.dsn, PYTHONPATH=path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = process.communicate(timeout=60)
    done = Done(process.returncode, out.decode(), err.decode())
    assert done.code == 1
    (finding,) = [f for f in done.document["findings"] if f["level"] != "ok"]
    assert finding["check"] == "clock"
    assert told in finding["found"]


def test_metrics_are_printed_for_prometheus_and_as_json(cli: Cli, worker: Any) -> None:
    done = cli("metrics")
    assert done.code == 0
    assert 'buslog_subscription_workers{subscription="ship"} 1.0\n' in done.out
    told = {metric["name"]: metric for metric in cli("metrics", "--json").document["metrics"]}
    assert told["buslog_up"]["samples"] == [{"labels": {}, "value": 1}]
    assert {"labels": {"subscription": "ship"}, "value": 1.0} in told["buslog_subscription_workers"]["samples"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_metrics_are_served_until_told_to_stop(cli: Cli, number: int, as_json: bool) -> None:
    port = free_port()
    arguments = ["metrics", "--serve", f":{port}", *(["--json"] if as_json else [])]
    process = cli.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.readline().decode().strip()
    url = json.loads(said)["url"] if as_json else said
    assert url == f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert b"\nbuslog_live_workers 0.0\n" in answer.read()
    taken = cli("metrics", "--serve", f"127.0.0.1:{port}")
    assert (taken.code, "is an address that can be listened on" in taken.error) == (2, True)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in err) == (0, False)
