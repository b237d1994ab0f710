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
