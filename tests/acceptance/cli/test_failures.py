"""Failures by cause from the command line."""

from __future__ import annotations

from typing import Any

from buslog import db

from ..conftest import wait_until
from .conftest import Cli, value


def test_causes_are_listed_taken_on_and_resolved(cli: Cli, worker: Any, connection: db.Connection) -> None:
    connection.execute("""SELECT buslog.emit('ordered', jsonb_build_object('shipmentId', 'S-' || n))
                          FROM generate_series(1, 3) AS n""")
    wait_until(lambda: value(connection, "SELECT coalesce(sum(total), 0) FROM buslog.failure_groups") == 3)
    group, count, status, owner, _, error = cli("failures").out.strip().split("\t")
    assert (count, status, owner, error) == ("3", "open", "-", "TimeoutError: the mail server refuses")
    assert cli("failures", "ack", group).out == f"{group}\tacknowledged\n"
    assert cli("failures", "assign", group, "Berta").out == f"{group}\tassigned to Berta\n"
    noted = cli("failures", "note", group, "until noon", "--json").document
    assert noted == {"group": group, "now": "noted", "changed": True}
    told = cli("failures", "--status", "acknowledged", "--key", "S-1", "--json").document
    (found,) = told["groups"]
    assert (told["by_status"], found["count"]["value"], found["owner"], found["note"]) == (
        {"acknowledged": 1}, 1, "Berta", "until noon",
    )  # fmt: skip
    assert len(cli("export", "--group", group).out.splitlines()) == 4
    assert cli("runs", "preview", "replay", "--group", group).out.splitlines()[1] == "eligible\t3"
    assert cli("failures", "resolve", group, "--reason", "mended").out == f"{group}\tresolved\n"
    refused = cli("failures", "ack", group)
    assert (refused.code, "Reopen it first" in refused.error) == (1, True)
