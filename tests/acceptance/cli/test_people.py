"""buslog people, and who may be let in by `buslog dashboard`."""

from __future__ import annotations

import json

import pytest

from buslog import db

from .conftest import Cli


def test_a_role_is_given_listed_and_taken_back_and_each_is_audited(cli: Cli, connection: db.Connection) -> None:
    assert cli("people", "list").out == ""
    given = cli("people", "set-role", "anna@example.com", "operator", "--reason", "on duty")
    assert (given.code, given.out) == (0, "anna@example.com\toperator\n")
    assert cli("people", "list").out == "anna@example.com\toperator\tgiven\tnever seen\n"
    cli("people", "set-role", "anna@example.com", "claimed")
    (anna,) = cli("people", "list", "--json").document["people"]
    assert (anna["person"], anna["role"], anna["given"], anna["last_seen"]) == (
        "anna@example.com",
        "viewer",
        None,
        None,
    )
    audited = connection.execute("SELECT verb, reason, outcome ->> 'to' FROM buslog.operations ORDER BY id").fetchall()
    assert audited == [("set role", "on duty", "operator"), ("set role", None, None)]
    refused = cli("people", "set-role", "local:root", "admin", "--json")
    assert (refused.code, refused.fields["field"]) == (1, "person")
    assert cli("people", "set-role", "anna@example.com", "king").code == 2


@pytest.mark.parametrize(
    ("arguments", "env", "field"),
    [
        (["--host", "0.0.0.0"], {}, "host"),
        ([], {"BUSLOG_OIDC_CLIENT_ID": "buslog"}, "BUSLOG_OIDC_METADATA_URL"),
    ],
)
def test_a_dashboard_that_would_let_in_strangers_ends_with_2(
    cli: Cli, arguments: list[str], env: dict[str, str], field: str
) -> None:
    refused = cli("dashboard", "--port", "8999", *arguments, "--json", env=env)
    assert (refused.code, json.loads(refused.error)["field"]) == (2, field)
