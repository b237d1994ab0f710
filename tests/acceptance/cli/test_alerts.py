"""buslog alerts."""

from __future__ import annotations

import json

import pytest

from buslog import db
from tests.receivers import http_receiver

from .conftest import Cli, value


def test_a_rule_is_added_listed_looked_at_and_removed_and_each_is_audited(cli: Cli, connection: db.Connection) -> None:
    assert cli("alerts", "list").out == ""
    added = cli(
        "alerts", "add", "mails", "--kind", "failure-rate", "--threshold", "12.5%", "--window", "1h",
        "--channel", "ops", "--quiet", "22:00-07:00", "--zone", "Europe/Berlin", "--remind", "never", "--reason", "new",
    )  # fmt: skip
    assert (added.code, added.out) == (0, "mails\tfailure rate\n")
    assert cli("alerts", "add", "mails", "--kind", "no-live-worker").code == 1
    assert cli("alerts", "list").out == "mails\tfailure rate\tnot looked at yet\tops\n"
    looked = cli("alerts", "run-once", "--json")
    assert (looked.code, looked.document) == (0, {"looked": True, "happened": []})
    assert cli("alerts", "list").out == "mails\tfailure rate\twell\tops\n"
    (found,) = cli("alerts", "list", "--json").document["rules"]
    rule = found["rule"]
    assert (rule["threshold"], rule["window"], rule["remind"]) == (0.125, "PT1H", None)
    assert (rule["quiet"]["start"], rule["quiet"]["zone"]) == ("22:00:00", "Europe/Berlin")
    assert cli("alerts", "remove", "mails").code == 0
    assert cli("alerts", "remove", "mails").code == 1
    audited = connection.execute("SELECT verb, reason FROM buslog.operations ORDER BY id").fetchall()
    assert audited == [("set alert", "new"), ("remove alert", None)]


def test_what_is_probably_a_slip_in_a_rule_is_said_and_the_rule_is_kept(cli: Cli, connection: db.Connection) -> None:
    connection.execute("SELECT buslog.register('mail:send', '{ordered}', 'event', '{}', NULL, '', 'test')")
    added = cli("alerts", "add", "a", "--kind", "no-live-worker", "--channel", "opps", "--subscription", "mail:sent")
    assert (added.code, added.out) == (0, "a\tno live worker\n")
    assert "BUSLOG_ALERT_CHANNELS has no channel opps here" in added.err
    assert "Did you mean mail:send?" in added.err
    assert "It is told to nobody" in cli("alerts", "add", "b", "--kind", "no-live-worker").err
    fine = ["--kind", "no-live-worker", "--channel", "ops", "--subscription", "mail:send", "--json"]
    added = cli("alerts", "add", "c", *fine, env={"BUSLOG_ALERT_CHANNELS": "ops=json://127.0.0.1:1/"})
    assert (added.code, added.err, added.document["doubts"]) == (0, "", [])
    assert "Set it: ops=mailtos://" in cli("alerts", "test", "ops").err


def test_a_look_by_hand_is_no_second_one_beside_another_process(cli: Cli, connection: db.Connection) -> None:
    assert value(connection, db.query("alert_lock"))
    looked = cli("alerts", "run-once")
    assert (looked.code, looked.out) == (1, "Another process looks at the rules.\n")


def test_a_test_is_sent_and_a_channel_that_is_not_there_is_named(cli: Cli) -> None:
    with http_receiver() as receiver:
        env = {"BUSLOG_ALERT_CHANNELS": f"ops=json://{receiver.address}/s3cret"}
        assert cli("alerts", "test", "ops", env=env).out == "ops\tsent\n"
        assert receiver.titles == ["buslog: a test"]
        assert "Did you mean ops?" in cli("alerts", "test", "opps", env=env).err
        receiver.answer = 403
        refused = cli("alerts", "test", "ops", "--json", env=env)
        assert (refused.code, refused.fields["was"]) == (1, "it answered with 403")
        assert "s3cret" not in refused.err


@pytest.mark.parametrize(
    "arguments",
    [["--kind", "failure-rate", "--threshold", "0%"], ["--kind", "backlog-age", "--threshold", "soon"],
     ["--kind", "no-live-worker", "--quiet", "22-7-1"], ["--kind", "no-live-worker", "--zone", "Mars/Base",
      "--quiet", "22:00-07:00"], ["--kind", "no-live-worker", "--channel", "slack://s3cret"]],
)  # fmt: skip
def test_a_rule_that_cannot_be_kept_is_misuse(cli: Cli, arguments: list[str]) -> None:
    refused = cli("alerts", "add", "x", *arguments)
    assert refused.code == 2
    assert "s3cret" not in refused.err


@pytest.mark.parametrize("command", [["worker", "shop:bus"], ["dashboard", "--port", "8998"]])
def test_channels_that_cannot_be_read_end_a_process_with_2_and_are_not_repeated(cli: Cli, command: list[str]) -> None:
    refused = cli(*command, "--json", env={"BUSLOG_ALERT_CHANNELS": "ops=slack//s3cret"})
    assert (refused.code, json.loads(refused.error)["field"]) == (2, "BUSLOG_ALERT_CHANNELS")
    assert "s3cret" not in refused.err
