"""The audit page, masking and unmasking, erasing, duty: through app.py."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from streamlit.testing.v1 import AppTest

from buslog import rights
from buslog.cli import buslog as commands
from buslog.console import access, duty, terminal
from buslog.desk import Actor
from buslog.duty import Duty
from buslog.masking import MASKED
from buslog.privacy import Privacy
from tests.dashboard.conftest import APP, Dashboard, Open, all_text, column_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.conftest import BusByHand

MAIL = "anna.smith@example.org"
PAYLOAD = json.dumps({"shipmentId": "S-1", "customer": {"email": MAIL}})
EVIL = "![x](http://evil.example/x.png) <img src=http://evil.example/y.png> **bold**"


def add_operation(bus: BusByHand, verb: str, outcome: str = "{}", actor: str = "anna", reason: str = "r") -> int:
    (row,) = bus.run(
        """INSERT INTO buslog.operations (actor, verb, reason, outcome)
           VALUES (%s, %s, %s, %s::text::jsonb) RETURNING id""",
        actor, verb, reason, outcome,
    )  # fmt: skip
    return int(row[0])


def button(at: AppTest, label: str) -> None:
    next(button for button in at.button if button.label == label).click().run()


# ── audit ───────────────────────────────────────────────────────────────────────


def test_an_empty_audit_says_whether_nothing_was_done_or_the_filter_leaves_it_empty(
    open_page: Open, by_hand18: BusByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_dsn", f"{by_hand18.dsn}&options=-c%20default_transaction_read_only%3Don")
    assert "Nobody has done anything yet." in all_text(open_page("audit"))
    by_hand18.run(
        """INSERT INTO buslog.operations (at, actor, verb, outcome)
           VALUES (now() - interval '90 days', 'anna', 'pause', '{}')"""
    )
    assert "No operation in that time." in all_text(open_page("audit"))
    assert "No operation matches this filter." in all_text(open_page("audit", actor="ben"))
    at = open_page("audit")
    button(at, "Show all")
    assert column_of(at, "Who") == ["anna"]


def test_a_database_that_is_down_is_not_an_empty_audit(open_page_of_nothing: Open) -> None:
    text = all_text(open_page_of_nothing("audit"))
    assert "The database did not answer" in text
    assert "Nobody has done anything" not in text


def test_the_widgets_write_the_url_and_the_list_follows(open_page: Open, by_hand18: BusByHand) -> None:
    add_operation(by_hand18, "pause")
    add_operation(by_hand18, "erase", '{"key": "S-1", "begun": 1200}')
    add_operation(by_hand18, "pause", '{"denied": "viewer", "needs": "admin"}', actor="ben")
    at = open_page("audit")
    assert column_of(at, "What") == ["log in", "pause", "erase", "pause"]  # whoever looks has come in just now
    assert column_of(at, "Outcome") == ["✓ done", "⊘ denied", "✓ done", "✓ done"]
    arrived, *others = column_of(at, "What came of it")
    assert others == ["role viewer, needs admin", "begun: 1,200", ""]
    assert arrived.startswith("how: this machine · role: admin · login: 20")
    at.selectbox(key="audit.actor").select("anna").run()
    assert at.query_params["actor"] == "anna"
    at.text_input(key="audit.key").input("S-1").run()
    assert at.query_params["key"] == "S-1"
    assert column_of(at, "What") == ["erase"]
    at = open_page("audit", outcome="denied")
    assert column_of(at, "Who") == ["ben"]
    assert at.toggle(key="audit.denied").value


def test_one_operation_shows_who_when_why_its_message_and_the_line_of_a_terminal(
    open_page: Open, by_hand18: BusByHand
) -> None:
    message_id = by_hand18.emit("departed", PAYLOAD, key="S-1")
    (row,) = by_hand18.run(
        """INSERT INTO buslog.operations (actor, verb, message_id, subscription, reason, outcome)
           VALUES (%s, 'replay', %s, 'mail', %s, '{"from": "failed", "run": 7}') RETURNING id""",
        EVIL, message_id, EVIL,
    )  # fmt: skip
    at = open_page("audit", operation=str(row[0]))
    text = all_text(at)
    assert "run: 7 · from: failed" in text
    assert f"buslog replay {message_id} mail --reason" in text
    assert "&lt;img src=http://evil.example" in text
    assert not [element for element in at.markdown if "evil.example" in element.value]
    for nonsense in ("0", "x", "9" * 30):
        assert "There is no such thing" in all_text(open_page("audit", operation=nonsense))


@pytest.mark.parametrize(
    ("params", "says"),
    [({"message": "x"}, "s id"), ({"older": "x"}, "is a place in the audit"),
     ({"from": "294277-01-01"}, "ISO 8601"), ({"sort": "id;drop"}, "is the name of a filter"),
     ({"actor": "a" * 100_000}, "1 to 200")],
)  # fmt: skip
def test_nonsense_in_the_url_is_named_and_the_filter_stays(open_page: Open, params: dict[str, str], says: str) -> None:
    at = open_page("audit", **params)
    assert not at.exception
    assert says in all_text(at)
    assert at.selectbox(key="audit.actor") is not None


ALERT = {
    "rule": "Much fails", "kind": "failure rate", "threshold": 0.05, "at_least": 5, "window_seconds": 900.0,
    "subscription": "a b", "channels": ["ops", "chat"], "quiet_from": "22:00:00", "quiet_until": "07:00:00",
    "zone": "Europe/Berlin", "remind_seconds": 14400.0, "enabled": True,
}  # fmt: skip
OTHER_ALERT = {"kind": "no live worker", "threshold": 60.0, "quiet_from": None, "quiet_until": None, "enabled": False,
               "subscription": None, "remind_seconds": None}  # fmt: skip
LINES = [
    ("replay", {}), ("run now", {}), ("cancel", {}), ("pause", {}), ("resume", {}), ("run", {"name": "resync it"}),
    ("emit", {"name": "departed"}), ("replay many", {"run": 7}), ("cancel many", {"run": 7}), ("stop", {"run": 7}),
    ("erase", {"key": "S 1"}), ("take duty", {}), ("hand over duty", {"note": "it's quiet"}),
    ("export", {"what": "audit", "filter": {"actor": "anna", "verb": ["pause", "erase"], "outcome": "denied"}}),
    ("export", {"filter": "state=failed&key=S-1"}),
    ("export", {"filter": {
        "find": "a b", "name": ["x", "y"], "subscription": "s", "state": ["failed"], "error": "E", "error_text": "no",
        "group": "0123456789abcdef", "raised": "yes", "ended": "2026-01-31", "correlation": str(UUID(int=1)),
        "payload": '{"a": 1}', "range": "24h", "from": "2026-01-31", "to": "2026-02-01"}}),
    ("note", {"note": 1, "key": "S 1"}), ("note", {"note": 1, "message": str(UUID(int=1))}),
    ("note", {"group": "g", "from": None, "to": "a text"}), ("acknowledge", {"group": "g", "from": "open"}),
    ("assign", {"group": "g", "to": None}), ("resolve", {"group": "g"}), ("reopen", {"group": "g"}),
    ("set role", {"person": "anna@example.com", "from": None, "to": None}), ("unregister", {"names": []}),
    ("save view", {"view": str(UUID(int=1)), "name": "Down", "filter": "state=failed", "shared": True}),
    ("rename view", {"view": str(UUID(int=1)), "from": "a", "name": "b"}), ("import", {}), ("refs backfill", {}),
    ("delete view", {"view": str(UUID(int=1)), "name": "b"}), ("test alert", {"channel": "ops"}),
    ("set alert", {"from": None, "to": ALERT}), ("set alert", {"from": ALERT, "to": {**ALERT, **OTHER_ALERT}}),
    ("remove alert", {"from": ALERT}),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "outcome"), LINES, ids=[f"{verb}-{at}" for at, (verb, _) in enumerate(LINES)])
def test_the_line_of_a_terminal_is_one_that_the_command_takes(verb: str, outcome: dict[str, object]) -> None:
    import shlex

    line = terminal.cli_line(verb, message_id=UUID(int=1), subscription="a b", reason="it's back", outcome=outcome)
    assert line is not None
    program, *arguments = shlex.split(line)
    assert program == "buslog"
    context = commands.make_context("buslog", arguments)
    while True:  # down to the last of nested commands; raises where an argument is not taken
        name, command, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])  # type: ignore[attr-defined]
        assert command is not None
        assert name is not None
        context = command.make_context(name, rest, parent=context)
        if not hasattr(command, "resolve_command"):
            break
    assert "it's back" not in line, "a shell would not read it"


def test_there_is_no_line_where_there_is_no_command() -> None:
    assert terminal.cli_line("unmask") is None


# ── masking ─────────────────────────────────────────────────────────────────────


def masked_message(bus: BusByHand) -> str:
    bus.run("UPDATE buslog.settings SET mask_fields = '{*.email}'")
    return str(bus.emit("departed", PAYLOAD, key="S-1"))


def test_a_message_is_masked_until_it_is_unmasked_with_a_reason_in_this_session_alone(
    open_page: Open, by_hand18: BusByHand
) -> None:
    message_id = masked_message(by_hand18)
    at = open_page("message", id=message_id)
    assert MAIL not in all_text(at)
    assert MASKED in all_text(at)
    button(at, "Unmask")
    at.button(key="unmask.confirm").click().run()
    assert MAIL not in all_text(at)
    assert "A reason is needed" in at.session_state["once.unmask.fault"]
    button(at, "Unmask")
    at.text_input(key="unmask.reason").input("ticket 12")
    at.button(key="unmask.confirm").click().run()
    assert MAIL in all_text(at)
    other = AppTest.from_file(APP, default_timeout=30).run()
    other.switch_page("pages/message.py")
    other.query_params["id"] = message_id
    assert MAIL not in all_text(other.run())
    rows = by_hand18.run("SELECT verb, message_id::text, reason FROM buslog.operations WHERE verb = 'unmask'")
    assert rows == [("unmask", message_id, "ticket 12")]


def test_whoever_may_no_longer_unmask_no_longer_sees_what_they_did_unmask(
    open_page: Open, by_hand18: BusByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = masked_message(by_hand18)
    at = open_page("message", id=message_id)
    button(at, "Unmask")
    at.text_input(key="unmask.reason").input("ticket 12")
    at.button(key="unmask.confirm").click().run()
    assert MAIL in all_text(at)
    with monkeypatch.context() as another:
        another.setattr(access, "_local", lambda: Actor("local:anna", "dashboard"))
        assert MAIL not in all_text(at.run()), "another person in the same session"
    assert MAIL in all_text(at.run())
    monkeypatch.setattr(access, "role", lambda: rights.Role.OPERATOR)
    assert MAIL not in all_text(at.run()), "the same person, demoted"
    assert next(button for button in at.button if button.label == "Unmask").disabled


def test_no_session_state_that_a_page_can_bind_lifts_the_mask(open_page: Open, by_hand18: BusByHand) -> None:
    message_id = masked_message(by_hand18)
    at = open_page("message", id=message_id, **{"access.unmasked": message_id, "unmasked": message_id})
    assert MAIL not in all_text(at)


# ── erase ───────────────────────────────────────────────────────────────────────

ZONE = """
import streamlit as st
from buslog.console import acting, erasing
acting.say()
erasing.zone("S-1")
"""


def test_the_danger_zone_says_why_not_and_erases_once_the_key_is_typed(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail.notify", "departed")
    by_hand18.emit("departed", PAYLOAD, key="S-1")
    at = AppTest.from_string(ZONE, default_timeout=30).run()
    at.button(key="erase.open").click().run()
    assert "1 delivery not ended: cancel them first" in all_text(at)
    assert at.button(key="erase.confirm").disabled
    by_hand18.work()
    at = AppTest.from_string(ZONE, default_timeout=30).run()
    at.button(key="erase.open").click().run()
    at.text_input(key="erase.reason").input("request 118")
    at.text_input(key="erase.typed").input("S-2")
    at.button(key="erase.confirm").click().run()
    assert "letter by letter" in at.session_state["once.erase.fault"]
    assert by_hand18.run("SELECT count(*) FROM buslog.operations") == [(0,)]
    at.button(key="erase.open").click().run()
    at.text_input(key="erase.reason").input("request 118")
    at.text_input(key="erase.typed").input("S-1")
    at.button(key="erase.confirm").click().run()
    assert [toast.value for toast in at.toast] == ["1 message of S-1 erased."]
    assert by_hand18.run("SELECT payload ? 'erased' FROM buslog.messages") == [(True,)]


# ── duty ────────────────────────────────────────────────────────────────────────


def test_the_duty_is_taken_and_handed_over_at_the_foot_of_every_page(open_page: Open, by_hand18: BusByHand) -> None:
    Duty(by_hand18.dsn, Actor("local:ben", "dashboard")).take()
    Duty(by_hand18.dsn, Actor("local:ben", "dashboard")).hand_over(EVIL)
    at = open_page("log")
    assert "Nobody is on duty" in all_text(at)
    assert "&lt;img src=http://evil.example" in all_text(at)
    assert not [element for element in at.markdown if "evil.example" in element.value]
    at.button(key="duty.footer").click().run()
    at.button(key="duty.take").click().run()
    assert "On duty: local" in all_text(at)
    at.button(key="duty.footer").click().run()
    at.button(key="duty.hand_over").click().run()
    assert "Leave a note" in at.session_state["once.duty.fault"]
    at.button(key="duty.footer").click().run()
    at.text_area(key="duty.note").input("carrier is down")
    at.button(key="duty.hand_over").click().run()
    assert "Nobody is on duty" in all_text(open_page("overview"))
    assert "carrier is down" in all_text(open_page("overview"))
    verbs = by_hand18.run(
        "SELECT verb FROM buslog.operations WHERE actor <> 'local:ben' AND verb <> 'log in' ORDER BY id"
    )
    assert verbs == [("take duty",), ("hand over duty",)]


def test_the_line_names_who_is_on_duty_and_the_note_to_them() -> None:
    assert duty.line([]) == "Nobody is on duty"


# ── in a real browser ───────────────────────────────────────────────────────────


def test_a_row_opens_back_leads_to_the_list_and_the_csv_is_audited(dashboard: Dashboard, page: Page) -> None:
    from playwright.sync_api import expect

    Privacy(dashboard.bus.dsn, Actor("=anna", "cli")).exported("log", {"filter": "key=S-1"})
    page.goto(f"{dashboard.address}/audit?actor=%3Danna")
    page.get_by_role("row", name="=anna").get_by_role("link", name="Open").click()
    expect(page.get_by_text("buslog export --key S-1")).to_be_visible()
    page.get_by_role("button", name="All operations").click()
    expect(page).to_have_url(re.compile("actor=%3Danna"))
    page.get_by_role("row", name="=anna").get_by_role("link", name="Open").click()
    expect(page.get_by_text("buslog export --key S-1")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile("actor=%3Danna"))
    expect(page.get_by_role("link", name="Export CSV")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    assert [(row["actor"], row["verb"]) for row in rows] == [("'=anna", "export")]
    taken = dashboard.bus.run("SELECT outcome FROM buslog.operations WHERE outcome ->> 'what' = 'audit'")
    assert taken == [({"what": "audit", "filter": {"actor": "=anna", "range": "30d"}},)]


def test_four_quick_clicks_take_the_duty_once(dashboard: Dashboard, page: Page) -> None:
    from playwright.sync_api import expect

    page.goto(f"{dashboard.address}/audit")
    page.get_by_role("button", name="Duty", exact=False).click()
    button = page.get_by_role("button", name="Take the duty")
    expect(button).to_be_visible()
    button.evaluate("button => { for (let times = 0; times < 4; times++) button.click() }")
    expect(page.get_by_text("On duty: local").first).to_be_visible()
    page.wait_for_timeout(500)
    assert dashboard.bus.run("SELECT count(*) FROM buslog.operations WHERE verb = 'take duty'") == [(1,)]
