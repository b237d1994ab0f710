"""erase, audit, duty from a terminal."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from buslog import db

if TYPE_CHECKING:
    from .conftest import Cli


def test_a_key_is_erased_once_it_was_typed_again_and_the_audit_says_so(cli: Cli, connection: db.Connection) -> None:
    cli("emit", "ordered", '{"shipmentId": "S-1", "email": "anna@example.org"}')
    refused = cli("erase", "--key", "S-1", "--reason", "request 118", stdin=b"S-2\n")
    assert (refused.code, "letter by letter" in refused.err) == (1, True)
    done = cli("erase", "--key", "S-1", "--reason", "request 118", stdin=b"S-1\n")
    assert (done.code, done.out) == (0, "messages\t1\ndeliveries\t0\nattempts\t0\n")
    assert connection.execute("SELECT payload ? 'erased' FROM buslog.messages").fetchall() == [(True,)]
    rows = list(csv.DictReader(io.StringIO(cli("audit", "--key", "S-1").out)))
    assert [(row["verb"], row["reason"]) for row in rows] == [
        ("erase", "request 118"), ("erase", "request 118"), ("emit", ""),
    ]  # fmt: skip
    _own, first = cli("audit", "--verb", "export", "--json").out.splitlines()
    assert json.loads(first)["outcome"] == {"what": "audit", "filter": {"key": "S-1"}}


def test_for_a_program_an_erasure_is_confirmed_by_an_option(cli: Cli) -> None:
    cli("emit", "ordered", '{"shipmentId": "S-1"}')
    refused = cli("erase", "--key", "S-1", "--reason", "r", "--json")
    assert (refused.code, "give --confirm KEY" in refused.fields["rule"]) == (2, True)
    wrong = cli("erase", "--key", "S-1", "--reason", "r", "--confirm", "S-2", "--json")
    assert (wrong.code, wrong.fields["field"]) == (1, "typed")
    done = cli("erase", "--key", "S-1", "--reason", "r", "--confirm", "S-1", "--json")
    assert json.loads(done.out) == {"key": "S-1", "messages": 1, "deliveries": 0, "attempts": 0, "views": 0, "left": 0}


def test_the_duty_is_taken_and_handed_over_with_a_note(cli: Cli) -> None:
    assert cli("duty", "hand-over", "all is quiet").code == 1
    assert cli("duty", "take").out == "on duty\n"
    assert cli("duty", "hand-over", "carrier is down,\nreplay nothing").out == "handed over\n"
    assert cli("duty").out.endswith("\tcarrier is down, replay nothing\n")
