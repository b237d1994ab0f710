"""Stored runs from the command line."""

from __future__ import annotations

import json
from typing import Any

from buslog import db

from ..conftest import wait_until
from .conftest import Cli, value


def test_a_run_is_previewed_started_shown_and_stopped(cli: Cli, worker: Any, connection: db.Connection) -> None:
    for shipment in range(3):
        cli("emit", "ordered", json.dumps({"shipmentId": f"S-{shipment}"}))
    wait_until(lambda: value(connection, "SELECT count(*) FROM buslog.log WHERE state IN ('failed', 'retrying')") == 6)
    previewed = cli("runs", "preview", "replay", "--state", "failed")
    run, eligible, *_ = previewed.out.splitlines()
    assert (eligible, f"`buslog runs start {run}`" in previewed.err) == ("eligible\t3", True)
    assert cli("runs", "preview", "run-now", "--json").document["verb"] == "run now"
    assert cli("runs", "start", run, "--undo", "60").out.startswith(f"{run}\treplay\twaiting\nwaiting\t3\n")
    assert cli("runs", "stop", run).out.startswith(f"{run}\treplay\tstopped: by ")
    listed = cli("runs", "list").out.splitlines()
    assert [line.split("\t")[:4] for line in listed] == [[run, "stopped", "replay", "0 of 3 settled"]]
    told = cli("runs", "show", run, "--json").document
    assert (told["state"], told["waiting"], told["filter"]) == ("stopped", 3, {"state": ["failed"]})
    again = cli("runs", "stop", run, "--json")
    assert (again.code, again.fields["rule"]) == (1, "is under way")
    cancel = cli("runs", "preview", "cancel", "--subscription", "later", "--json").document
    assert (cancel["eligible"], cancel["verb"], cancel["skipped"]) == (3, "cancel", {})
    refused = cli("runs", "start", str(cancel["run"]))
    assert (refused.code, "reason" in refused.error) == (1, True)
