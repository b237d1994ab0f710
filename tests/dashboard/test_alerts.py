"""The page Alerts: rules with their state, a dialog that saves once, tests of channels, and the history; no address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest

from buslog import db
from buslog.alerting import channels
from buslog.alerting.evaluation import Terms, look
from buslog.alerting.model import Rule, RuleKind
from buslog.alerts import Alerts
from buslog.config import settings
from buslog.console import words
from buslog.desk import Actor
from tests.dashboard.conftest import Dashboard, Open, all_text, served
from tests.dashboard.hands import settled
from tests.dashboard.test_permissions import ANNA, seen_by, with_login  # noqa: F401
from tests.receivers import Received, http_receiver

if TYPE_CHECKING:
    from tests.conftest import BusByHand

SECRET = "s3cret-token"
LOCAL = Actor("local:tester", "cli")


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    """A channel `ops`, known to this process."""
    with http_receiver() as received:
        monkeypatch.setenv("BUSLOG_ALERT_CHANNELS", f"ops=json://user:{SECRET}@{received.address}/{SECRET}")
        settings.cache_clear()
        channels.configured.cache_clear()
        yield received
    settings.cache_clear()
    channels.configured.cache_clear()


def add(bus: BusByHand, name: str = "Nobody works", **options: Any) -> None:
    rule = Rule(name, **{"kind": RuleKind.NO_WORKER, "threshold": 60.0, "channels": ("ops",), **options})
    Alerts(bus.dsn, LOCAL).set_rule(rule)


def fire(bus: BusByHand) -> None:
    with db.connect(bus.dsn) as connection:
        look(connection, Terms("here:1", timedelta(0)))
        connection.execute("UPDATE buslog.alert_rule_states SET true_since = now() - interval '1 hour'")
        look(connection, Terms("here:1", timedelta(0)))


def test_a_young_failure_rate_says_that_it_is_of_few_and_counted_for_a_short_time(
    open_page: Open, by_hand18: BusByHand
) -> None:
    add(by_hand18, "Much fails", kind=RuleKind.FAILURE_RATE, threshold=0.05, at_least=3)
    by_hand18.subscribe("mail", "departed")
    with db.connect(by_hand18.dsn) as connection:
        look(connection, Terms("here:1", timedelta(0)))
        by_hand18.emit("departed")
        by_hand18.work(mail="failed")
        look(connection, Terms("here:1", timedelta(0)))
    text = all_text(open_page("alerts"))
    assert "✓ well" in text
    assert re.search(r"100\.0 % failed, with fewer than 3 failures, counted for \d+ s so far", text)
    by_hand18.run("UPDATE buslog.alert_watch SET counting_since = now() - interval '1 day'")
    assert "100.0 % failed, with fewer than 3 failures<" in all_text(open_page("alerts"))


def button(at: AppTest, key: str) -> Any:
    (found,) = [button for button in at.button if button.key == key]
    return found


def test_without_rules_and_channels_the_page_says_what_to_do(open_page: Open) -> None:
    at = open_page("alerts")
    assert not at.exception
    text = all_text(at)
    assert words.NO_ALERT_RULES in text
    assert words.NO_ALERTS_YET in text
    assert words.NO_CHANNELS_HOW in text


def test_a_rule_shows_its_state_with_mark_and_word_and_that_nobody_looks(open_page: Open, by_hand18: BusByHand) -> None:
    add(by_hand18)
    text = all_text(open_page("alerts"))
    assert words.ALERT_UNSEEN in text
    assert words.NOBODY_LOOKS in text
    fire(by_hand18)
    text = all_text(open_page("alerts"))
    assert "✕ firing for" in text
    assert "There has been no live worker for 60 s" in text
    assert "No live worker is running, for 60 min" in text
    assert words.NOBODY_LOOKS not in text
    assert "… ops is to be told that it fires" in text


def test_a_page_without_a_database_is_an_error_and_no_empty_list(open_page_of_nothing: Open) -> None:
    text = all_text(open_page_of_nothing("alerts"))
    assert "The database did not answer" in text
    assert words.NO_ALERT_RULES not in text


def test_a_rule_is_switched_off_and_on_again(open_page: Open, by_hand18: BusByHand) -> None:
    add(by_hand18)
    at = open_page("alerts")
    at = button(at, "switch.Nobody works.True").click().run()
    assert words.ALERT_IS_OFF in all_text(at)
    button(at, "switch.Nobody works.False").click().run()
    assert by_hand18.run("SELECT enabled FROM buslog.alert_rules") == [(True,)]
    assert by_hand18.run("SELECT count(*) FROM buslog.operations WHERE verb = 'set alert'") == [(3,)]


def test_a_test_is_sent_once_for_quick_clicks_and_its_failure_is_said_beside_the_button(
    open_page: Open, receiver: Received
) -> None:
    at = open_page("alerts")
    for _ in range(4):
        at = button(at, "test.ops").click().run()
    assert receiver.titles == ["buslog: a test"]
    assert "✓ ops took a test at" in all_text(at)
    receiver.answer = 403
    at = open_page("alerts")
    text = all_text(button(at, "test.ops").click().run())
    assert "it answered with 403" in text
    assert SECRET not in text


def test_names_and_texts_are_shown_literally(open_page: Open, by_hand18: BusByHand) -> None:
    add(by_hand18, "![x](http://evil.example/x.png) <img src=x>")
    fire(by_hand18)
    at = open_page("alerts")
    assert not at.exception
    assert "<img" not in all_text(at)


def test_the_history_of_a_rule_is_a_link_and_nonsense_in_it_is_said(open_page: Open, by_hand18: BusByHand) -> None:
    add(by_hand18)
    fire(by_hand18)
    at = open_page("alerts", rule="Another")
    assert words.NO_ALERTS_OF_RULE in all_text(at)
    at = open_page("alerts", before="-1; drop")
    assert "This cannot be looked for" in all_text(at)
    by_hand18.run(
        """INSERT INTO buslog.alerts (rule, what, since, fired_at, told_at, resolved_at)
           SELECT 'Nobody works', 'number ' || i, now(), now(), now(), now() FROM generate_series(1, 30) AS i"""
    )
    at = open_page("alerts")
    assert "number 30" in all_text(at)
    assert "number 11\n" in all_text(at) or "number 11<" in all_text(at)
    (older,) = [button for button in at.button if button.label == "Older"]
    at = older.click().run()
    assert "number 30" not in all_text(at)
    assert "number 1<" in all_text(at)


@pytest.mark.usefixtures("with_login")
def test_who_may_not_change_rules_sees_them_with_disabled_buttons_that_say_why(
    open_page: Open, by_hand18: BusByHand, receiver: Received
) -> None:
    add(by_hand18)
    at = seen_by(open_page, "alerts", {**ANNA, "groups": ["ops"]})
    assert "Nobody works" in all_text(at)
    for key in ("alert.new", "edit.Nobody works", "switch.Nobody works.True", "remove.Nobody works", "test.ops"):
        assert button(at, key).disabled
        assert "It takes an admin" in button(at, key).help


# ── in a browser ────────────────────────────────────────────────────────────────


def test_a_rule_is_made_changed_and_removed_in_dialogs_once_for_quick_clicks(dashboard: Dashboard, page: Page) -> None:
    page.goto(f"{dashboard.address}/alerts")
    page.get_by_role("button", name=words.ALERT_NEW).click()
    page.get_by_role("button", name=words.ALERT_SAVE).click()
    expect(page.get_by_text("has 1 to 200 characters")).to_be_visible()
    page.get_by_label(words.ALERT_NAME, exact=True).fill("Night watch")
    page.get_by_role("button", name=words.ALERT_SAVE).dblclick()
    expect(page.get_by_text("There has been no live worker for 60 s")).to_be_visible()
    settled(page)
    page.get_by_role("button", name=words.ALERT_EDIT).click()
    page.get_by_label(words.ALERT_SECONDS).fill("120")
    page.get_by_role("button", name=words.ALERT_SAVE).click()
    expect(page.get_by_text("There has been no live worker for 2 min")).to_be_visible()
    settled(page)
    page.get_by_role("button", name=words.ALERT_REMOVE).click()
    page.get_by_role("dialog").get_by_role("button", name=words.ALERT_REMOVE).click()
    expect(page.get_by_text(words.NO_ALERT_RULES)).to_be_visible()
    done = dashboard.bus.run("SELECT verb FROM buslog.operations WHERE verb <> 'log in' ORDER BY id")
    assert done == [("set alert",), ("set alert",), ("remove alert",)]


def test_what_fires_leads_to_the_failures_of_its_filter_and_back(by_hand18: BusByHand, page: Page) -> None:
    bus = by_hand18
    with served(bus.dsn, BUSLOG_ALERT_EVERY="0.2") as address:
        bus.subscribe("mail:send", "departed")
        add(bus, "Mails", kind=RuleKind.FAILURE_RATE, threshold=0.5, at_least=1, subscription="mail:send", channels=())
        _until_looked_at(bus)
        bus.emit("departed", key="S-42")
        bus.work(**{"mail:send": "failed"})
        page.goto(f"{address}/alerts")
        for _ in range(20):
            page.get_by_role("button", name="Refresh").click()
            if page.get_by_text("✕ firing for").count():
                break
            page.wait_for_timeout(300)
        settled(page)
        page.get_by_role("link", name=words.ALERT_SEE).click()
        expect(page).to_have_url(f"{address}/failures?subscription=mail%3Asend&range=all")
        page.go_back()
        expect(page.get_by_text("✕ firing for")).to_be_visible()
        page.goto("about:blank")


def _until_looked_at(bus: BusByHand) -> None:
    import time

    give_up_at = time.monotonic() + 20
    while not bus.run("SELECT 1 FROM buslog.alert_rule_states"):
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
