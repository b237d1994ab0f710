"""Views, refs and the search box from the command line."""

from __future__ import annotations

import csv
import io

from buslog import db

from .conftest import Cli


def test_a_view_is_saved_listed_renamed_and_deleted(cli: Cli) -> None:
    view = cli("views", "save", "Carrier down", "state=failed&range=24h", "--shared").out.strip()
    (told,) = cli("views", "list", "--json").document["views"]
    assert (told["id"], told["name"], told["filter"], told["shared"]) == (
        view, "Carrier down", "state=failed&range=24h", True,
    )  # fmt: skip
    assert cli("views", "rename", view, "MSC down").code == 0
    assert "MSC down" in cli("views", "list").out
    assert cli("views", "delete", view).code == 0
    assert cli("views", "list").out == ""
    assert cli("views", "save", "x", "state=fialed").code == 2


def test_refs_are_backfilled_and_found_by_an_export(cli: Cli, connection: db.Connection) -> None:
    cli("emit", "departed", '{"shipmentId": "S-1", "containers": [{"number": "MSKU1"}]}')
    cli("emit", "departed", '{"shipmentId": "S-2"}')
    refused = cli("refs", "backfill", "--json")
    assert (refused.code, refused.fields["field"]) == (1, "BUSLOG_REF_FIELDS")
    connection.execute("SELECT buslog.set_ref_fields('{containers.*.number}')")
    assert cli("refs", "backfill").out == "2 messages looked through, 1 refs are new\n"
    exported = csv.DictReader(io.StringIO(cli("export", "--find", "msku1, S-2").out))
    assert [row["key"] for row in exported] == ["S-2", "S-1"]


def test_a_saved_view_is_a_filter_of_every_command_that_takes_one(cli: Cli, connection: db.Connection) -> None:
    for key in ("S-1", "S-2"):
        cli("emit", "departed", f'{{"shipmentId": "{key}"}}')
    view = cli("views", "save", "The second", "key=S-2").out.strip()
    for wanted in ("The second", view):
        exported = csv.DictReader(io.StringIO(cli("export", "--view", wanted).out))
        assert [row["key"] for row in exported] == ["S-2"]
    assert cli("runs", "preview", "replay", "--view", "The second", "--json").document["filter"]["key"] == "S-2"
    assert cli("failures", "--view", "The second", "--json").document["groups"] == []
    both = cli("export", "--view", "The second", "--key", "S-1", "--json")
    assert (both.code, both.fields["rule"], both.fields["was"]) == (2, "stands alone", "key")
    unknown = cli("export", "--view", "The secund")
    assert (unknown.code, "Did you mean The second?" in unknown.error) == (1, True)


def test_every_part_of_a_filter_is_an_option(cli: Cli) -> None:
    cli("emit", "departed", '{"shipmentId": "S-1", "carrier": "MSC"}')
    given = ["--find", "S-1", "--name", "departed", "--key", "S-1", "--state", "unrouted", "--range", "24h",
             "--payload", '{"carrier": "MSC"}']  # fmt: skip
    assert len(cli("export", *given).out.splitlines()) == 2
    for more in (
        ["--subscription", "x"], ["--error", "E"], ["--error-text", "no"], ["--group", "0" * 16], ["--raised"],
        ["--ended", "2026-01-31"], ["--correlation", "00000000-0000-0000-0000-000000000001"],
    ):  # fmt: skip
        done = cli("export", *given, *more)
        assert (done.code, len(done.out.splitlines())) == (0, 1), more
    assert cli("export", "--range", "24h", "--from", "2026-01-31").code == 2
