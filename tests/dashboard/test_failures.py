"""The Failures page: causes first, one cause with its life and its deliveries, and the kinds of nothing."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from buslog.console import words
from buslog.desk import Actor
from buslog.filter import Filter
from buslog.groups import Groups
from buslog.insights import FailureGroup, Insights
from tests.dashboard.conftest import Dashboard, Open, all_text, column_of, texts_of

if TYPE_CHECKING:
    from tests.conftest import BusByHand

EVIL = "![x](http://evil.example/x.png) <img src=http://evil.example/y.png> **bold**"


def fail(bus: BusByHand, error: str, *, key: str | None = None, name: str = "departed", times: int = 1) -> None:
    """Deliveries of `mail` that fail with this error."""
    for _ in range(times):
        bus.emit(name, key=key)
    bus.run(
        """SELECT buslog.settle(array_agg(c.message_id), array_agg(c.subscription_id), array_agg(c.ready_seq),
                                array_agg('failed'::text), NULL, NULL, array_agg('CarrierTimeout'::text),
                                array_agg(%s::text), array_agg('carrier.py:12 in ask'::text),
                                array_agg('Traceback: line 12'::text), NULL, 'host:1', 'r7', false)
           FROM buslog.claim(%s, ARRAY(SELECT id FROM buslog.subscriptions WHERE subscription = 'mail'), NULL, 1000)
                AS c""",
        error, bus.start_worker(),
    )  # fmt: skip


def group_of(bus: BusByHand, sample: str) -> FailureGroup:
    bus.run("SELECT buslog.fold_failures(1000)")
    insights = Insights(bus.dsn)
    found = insights.failure_groups(Filter()).groups
    insights.close()
    return next(group for group in found if sample in group.sample)


@pytest.fixture
def two(by_hand18: BusByHand) -> BusByHand:
    """Two causes of one subscriber: three failures and one."""
    by_hand18.subscribe("mail", "departed")
    fail(by_hand18, "no answer within 5 s", key="S-1", times=3)
    fail(by_hand18, "unknown customer", key="S-2")
    return by_hand18


def button(at: AppTest, label: str) -> Button:
    return next(button for button in at.button if button.label == label)


def press(at: AppTest, label: str) -> AppTest:
    return button(at, label).click().run()


def grid(at: AppTest) -> list[str]:
    return list(at.dataframe[0].value["key"]) if at.dataframe else []


# ── causes ──────────────────────────────────────────────────────────────────────


def test_causes_come_first_in_their_words_and_the_largest_on_top(open_page: Open, two: BusByHand) -> None:
    two.run("SELECT buslog.fold_failures(1000)")
    at = open_page("failures")
    assert not at.exception
    first, second = (card for card in texts_of(at, "html") if "failed now" in card)
    for told in ("CarrierTimeout", "no answer within 5 s", "carrier.py in ask", ">3<", "mail", "departed", "1 key",
                 "since release r7", "● open", "3 failed in the last 24 hours"):  # fmt: skip
        assert told in first, told
    assert "unknown customer" in second
    assert not at.dataframe
    text = all_text(open_page("failures", key="S-2"))
    assert "unknown customer" in text
    assert "no answer" not in text


def test_a_cause_is_opened_leads_to_its_deliveries_and_back(open_page: Open, two: BusByHand) -> None:
    group = group_of(two, "no answer")
    at = open_page("failures", range="1h")
    next(button for button in at.button if button.key == f"open-{group.fingerprint}").click().run()
    assert at.query_params == {"range": "1h", "group": group.fingerprint}
    assert grid(at) == ["S-1", "S-1", "S-1"]
    text = all_text(at)
    for told in ("no answer within 5 s", "carrier.py:12 in ask", "3 failed", "r7"):
        assert told in text
    assert "unknown customer" not in text
    at = press(at, "All causes")
    assert at.query_params == {"range": "1h"}
    assert "unknown customer" in all_text(at)


def test_all_deliveries_can_be_shown_and_the_address_says_what_is(open_page: Open, two: BusByHand) -> None:
    group_of(two, "no answer")
    at = open_page("failures")
    control = at.segmented_control(key="failures.show")
    assert control.options == ["Open 2", "Acknowledged 0", "Resolved 0", "All causes 2", "Deliveries"]
    control.set_value("deliveries").run()
    assert at.query_params == {"show": "deliveries"}
    assert sorted(grid(at)) == ["S-1", "S-1", "S-1", "S-2"]
    at.text_input(key="failures.find").set_value("S-2").run()
    assert at.query_params == {"find": "S-2", "show": "deliveries"}
    assert grid(at) == ["S-2"]


def test_what_is_done_to_all_says_that_it_also_reaches_causes_that_are_not_shown(
    open_page: Open, two: BusByHand
) -> None:
    group = group_of(two, "no answer")

    def label(at: AppTest) -> str:
        return next(folded.label for folded in at.expander if words.ALL_MATCHING in folded.label)

    assert label(open_page("failures")) == words.ALL_MATCHING
    groups = Groups(two.dsn, Actor("local:anna", "dashboard"))
    groups.acknowledge(group.fingerprint)
    assert label(open_page("failures")).endswith(", also of causes that are not shown here: 1 acknowledged")
    assert label(open_page("failures", show="acknowledged")).endswith(" not shown here: 1 open")
    assert label(open_page("failures", show="all")) == words.ALL_MATCHING


def test_pages_of_a_cause_lead_to_its_last_delivery_and_back(open_page: Open, two: BusByHand) -> None:
    fail(two, "no answer within 9 s", key="S-3", times=110)
    group = group_of(two, "no answer")
    at = open_page("failures", group=group.fingerprint)
    sizes = [len(grid(at))]
    while not button(at, "Older").disabled:
        press(at, "Older")
        sizes.append(len(grid(at)))
    assert sizes == [50, 50, 13]
    press(at, "Newer")
    assert len(grid(at)) == 50
    assert at.query_params["group"] == group.fingerprint
    assert "113 failed" in all_text(at)


# ── its life ────────────────────────────────────────────────────────────────────


def test_a_cause_is_acknowledged_once_however_often_it_is_clicked(open_page: Open, two: BusByHand) -> None:
    group = group_of(two, "no answer")
    at = open_page("failures", group=group.fingerprint)
    acknowledge = button(at, "Acknowledge")
    for _ in range(4):
        acknowledge.click().run()
    assert not at.exception
    assert two.run("SELECT verb FROM buslog.operations WHERE verb <> 'log in'") == [("acknowledge",)]
    assert "◐ acknowledged" in all_text(at)
    assert button(at, "Acknowledge").disabled
    assert button(at, "Acknowledge").help == "It is acknowledged already."
    at = open_page("failures")
    assert "no answer" not in all_text(at)
    assert "no answer" in all_text(open_page("failures", show="acknowledged"))


def test_a_cause_is_assigned_noted_resolved_and_reopened(open_page: Open, two: BusByHand) -> None:
    group = group_of(two, "no answer")
    at = press(open_page("failures", group=group.fingerprint), "Assign")
    next(field for field in at.text_input if field.label == "Person").set_value("Berta Müller")
    button_of(at, "group.assign.confirm").click().run()
    at = press(at, "Note")
    at.text_area[0].set_value(EVIL)
    button_of(at, "group.note.confirm").click().run()
    at = press(at, "Resolve")
    assert "stay until they are replayed" in all_text(at)
    next(field for field in at.text_input if field.label.startswith("Reason")).set_value("release 1.4")
    button_of(at, "group.resolve.confirm").click().run()
    assert not at.exception
    text = all_text(at)
    assert "✓ resolved" in text
    assert "owner: Berta Müller" in text
    assert "&lt;img src=http://evil.example/y.png&gt;" in text
    assert two.run("SELECT verb, reason FROM buslog.operations WHERE verb <> 'log in'") == [
        ("assign", None), ("note", None), ("resolve", "release 1.4"),
    ]  # fmt: skip
    assert button(at, "Acknowledge").help == "It is resolved: reopen it first."
    assert "● open" in all_text(press(at, "Reopen"))


def button_of(at: AppTest, key: str) -> Button:
    """A form's own button."""
    return next(button for button in at.button if key in (button.key or ""))


def test_one_that_came_back_says_so(open_page: Open, two: BusByHand) -> None:
    group = group_of(two, "no answer")
    Groups(two.dsn, Actor("local:anna", "cli")).resolve(group.fingerprint)
    assert "No open cause" not in all_text(open_page("failures"))
    fail(two, "no answer within 6 s")
    two.run("SELECT buslog.fold_failures(1000)")
    for at in (open_page("failures"), open_page("failures", group=group.fingerprint)):
        text = all_text(at)
        assert "● open" in text
        assert "came back once after it was resolved" in text


def test_the_traceback_is_folded_and_literal(open_page: Open, two: BusByHand) -> None:
    group = group_of(two, "no answer")
    at = open_page("failures", group=group.fingerprint)
    (folded,) = [expander for expander in at.expander if expander.label.startswith("Traceback")]
    assert not folded.proto.expanded
    assert [code.value for code in folded.code] == ["Traceback: line 12"]


def test_what_is_not_folded_yet_is_shown_and_can_be_acknowledged(open_page: Open, two: BusByHand) -> None:
    assert two.run("SELECT count(*) FROM buslog.failure_groups") == [(0,)]
    at = open_page("failures")
    text = all_text(at)
    assert "no answer within 5 s" in text
    assert "just now" in text
    next(button for button in at.button if (button.key or "").startswith("open-")).click().run()
    press(at, "Acknowledge")
    assert "◐ acknowledged" in all_text(at)


# ── nothing ─────────────────────────────────────────────────────────────────────


def test_each_kind_of_nothing_has_its_words(open_page: Open, two: BusByHand) -> None:
    groups = Groups(two.dsn, Actor("local:anna", "cli"))
    one, other = group_of(two, "no answer"), group_of(two, "unknown")
    groups.resolve(one.fingerprint)
    assert "No acknowledged cause." in all_text(open_page("failures", show="acknowledged"))
    groups.acknowledge(other.fingerprint)
    at = open_page("failures")
    assert "No open cause." in all_text(at)
    assert "1 acknowledged, 1 resolved." in all_text(at)
    assert "unknown customer" in all_text(press(at, "Show all causes"))
    assert "No failure matches this filter." in all_text(open_page("failures", key="absent"))
    at = open_page("failures", group=one.fingerprint, **{"from": "2030-01-01"})
    assert "None of it in this time is failed now." in all_text(at)
    assert grid(press(at, "Show all")) == ["S-1"] * 3
    two.run("SELECT buslog.cancel(array_agg(message_id), array_agg(subscription_id)) FROM buslog.failures")
    assert "None of it is failed now." in all_text(open_page("failures", group=one.fingerprint))


@pytest.mark.parametrize("params", [{"group": "nonsense"}, {"group": "0123456789abcdef"}, {"show": "everything"}])
def test_nonsense_is_answered_in_words(open_page: Open, two: BusByHand, params: dict[str, str]) -> None:
    at = open_page("failures", **params)
    assert not at.exception
    assert any(title in all_text(at) for title in ("cannot be looked for", "There is no such thing"))
    assert "our fault" not in all_text(at)


def test_the_menu_leads_to_the_causes_not_to_the_last_one(open_page: Open, two: BusByHand) -> None:
    group = group_of(two, "no answer")
    at = open_page("failures", group=group.fingerprint, range="1h")
    at.query_params.clear()
    at.switch_page("pages/log.py").run()
    at.query_params.clear()
    at.switch_page("pages/failures.py").run()
    assert at.query_params == {"range": "1h"}
    assert "unknown customer" in all_text(at)


def test_the_log_shows_a_group_and_lets_it_go(open_page: Open, two: BusByHand) -> None:
    group = group_of(two, "no answer")
    at = open_page("log", group=group.fingerprint)
    assert column_of(at, "shipmentId") == ["S-1"] * 3
    at.text_input(key="log.find").set_value("S-1").run()
    assert at.query_params == {"find": "S-1", "group": group.fingerprint}
    next(button for button in at.button if button.label.startswith("cause")).click().run()
    assert at.query_params == {"find": "S-1"}


# ── in a browser ────────────────────────────────────────────────────────────────


@pytest.fixture
def cause(dashboard: Dashboard) -> FailureGroup:
    """A cause of its own, with three failures."""
    dashboard.bus.subscribe("mail", "departed")
    words = "".join(letter for letter in uuid.uuid4().hex if letter.isalpha())
    fail(dashboard.bus, f"{EVIL} {words}", key=f"B-{words}", times=3)
    return group_of(dashboard.bus, words)


def test_back_from_a_cause_leads_to_the_list_and_its_address_opens_it(
    dashboard: Dashboard, page: Page, cause: FailureGroup
) -> None:
    page.goto(f"{dashboard.address}/failures?range=7d")
    card = page.locator(f".st-key-group-{cause.fingerprint}")
    expect(card.get_by_text(cause.sample)).to_be_visible()
    card.get_by_role("button", name="Show").click()
    expect(page.get_by_role("button", name="Acknowledge")).to_be_visible()
    expect(page).to_have_url(re.compile(f"group={cause.fingerprint}"))
    expect(page.get_by_text("3 failed ·")).to_be_visible()
    assert page.locator("img[src*='evil']").count() == 0
    page.go_back()
    expect(card).to_be_visible()
    expect(page).not_to_have_url(re.compile("group="))
    page.go_forward()
    expect(page.get_by_role("button", name="Acknowledge")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
        page.get_by_role("link", name="CSV", exact=True).click()
    assert len(download.value.path().read_text().strip().split("\n")) == 1 + 3


def test_four_quick_clicks_resolve_once_and_the_life_is_seen(
    dashboard: Dashboard, page: Page, cause: FailureGroup
) -> None:
    page.goto(f"{dashboard.address}/failures?group={cause.fingerprint}")
    page.get_by_role("button", name="Resolve").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("release 1.4")
    confirm = dialog.get_by_role("button", name="Resolve")
    confirm.evaluate("button => { for (let i = 0; i < 4; i++) button.click() }")
    expect(page.get_by_text("✓ resolved").first).to_be_visible()
    expect(page.get_by_role("button", name="Reopen")).to_be_enabled()
    done = "SELECT reason FROM buslog.operations WHERE verb = 'resolve' AND outcome ->> 'group' = %s"
    assert dashboard.bus.run(done, cause.fingerprint) == [("release 1.4",)]
    fail(dashboard.bus, cause.sample)
    dashboard.bus.run("SELECT buslog.fold_failures(1000)")
    page.reload()
    expect(page.get_by_text("came back once after it was resolved")).to_be_visible()
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("◐ acknowledged").first).to_be_visible()


def test_causes_fit_a_phone(dashboard: Dashboard, page: Page, cause: FailureGroup) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for address in ("failures?show=all", f"failures?group={cause.fingerprint}"):
        page.goto(f"{dashboard.address}/{address}")
        expect(page.get_by_text("acting as local")).to_be_visible()
        expect(page.get_by_text(cause.sample).first).to_be_visible()
        wide = page.evaluate(
            """[...document.querySelectorAll('[data-testid=stHtml] *, [data-testid=stButton] button')]
                   .filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"""
        )
        assert wide == 0
