"""Finding, understanding and taking away in a real browser, with a team's own zone and a system of its own for keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

from buslog.console import words
from buslog.console.shortcuts import Shortcut
from buslog.desk import Actor
from buslog.filter import Range
from buslog.message import DeliveryRef, State
from buslog.notes import About, Notes
from buslog.operations import Operations
from tests.dashboard.conftest import Dashboard, dashboard_of
from tests.dashboard.hands import settled, tick_row
from tests.dashboard.test_failures import fail as failures_of
from tests.dashboard.test_failures import group_of

if TYPE_CHECKING:
    from tests.conftest import TestServer

ANNA = Actor("local:anna", "dashboard")
ZONE = "Europe/Berlin"
SHIPMENT = json.dumps({"type": "object", "required": ["shipmentId"], "properties": {"shipmentId": {"type": "string"}}})
VOYAGE = json.dumps({
    "type": "object", "required": ["stops", "carrier"],
    "properties": {
        "stops": {"type": "array", "items": {
            "type": "object", "required": ["port"],
            "properties": {"port": {"type": "string", "minLength": 5}, "eta": {"type": "string", "format": "date"}},
        }},
        "carrier": {"enum": ["MSC", "MAEU"]},
        "note": {"type": "string"},
    },
})  # fmt: skip


@pytest.fixture(scope="module")
def dashboard(server18: TestServer) -> Iterator[Dashboard]:
    with dashboard_of(server18, BUSLOG_TZ=ZONE, BUSLOG_KEY_URL="https://erp.example/s/{{key}}") as opened:
        yield opened


def rows(page: Page, number: int) -> Locator:
    """The line above a list that tells how many rows its filter finds."""
    return page.get_by_text(re.compile(rf"^{number} rows?:")).first


def choose(page: Page, label: str, option: str) -> None:
    settled(page)  # what is drawn anew folds an open list
    page.get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=option).click()


# ── Overview ────────────────────────────────────────────────────────────────────


def test_the_overview_leads_to_what_has_waited_longest_and_to_its_largest_cause_and_marks_a_release(
    dashboard: Dashboard, page: Page
) -> None:
    bus = dashboard.bus
    bus.subscribe("mail.seen", "overseen")
    bus.emit("overseen", key="SEEN-1")
    bus.work(**{"mail.seen": "failed"})
    oldest = bus.emit("overseen", key="SEEN-2")
    bus.emit("overseen", key="SEEN-3")
    bus.run("INSERT INTO buslog.releases VALUES ('release-7', now() - interval '10 min')")
    page.goto(f"{dashboard.address}/?range=1h&name=overseen")
    expect(page.locator(".js-plotly-plot .annotation-text", has_text="release-7")).to_be_visible()
    page.get_by_role("link", name="The oldest").click()
    expect(page).to_have_url(re.compile(f"/message\\?id={oldest}"))
    expect(page.get_by_role("heading", name="Event overseen")).to_be_visible()
    page.go_back()
    acknowledge = page.get_by_role("button", name=words.ACKNOWLEDGE)
    page.get_by_role("link", name=words.OPEN_GROUP).first.click()
    expect(acknowledge).to_be_visible()
    expect(page).to_have_url(re.compile("/failures\\?.*group="))
    expect(page.get_by_text("1 failed ·")).to_be_visible()


# ── Log ─────────────────────────────────────────────────────────────────────────


def test_each_filter_narrows_the_list_and_the_address_says_it_to_somebody_else(
    dashboard: Dashboard, page: Page
) -> None:
    bus = dashboard.bus
    bus.subscribe("mail.found", "foundFirst")
    bus.subscribe("task.found", "foundSecond")
    for number in range(2):
        bus.emit("foundFirst", key=f"FOUND-{number}")
        bus.emit("foundSecond", key=f"FOUND-{number}")
    bus.work(**{"mail.found": "failed"})
    bus.emit("foundThird", key="FOUND-0")
    page.goto(f"{dashboard.address}/log?find=FOUND-0%20FOUND-1")
    expect(rows(page, 5)).to_be_visible()
    names = page.get_by_role("combobox", name=words.NAME, exact=True)
    for typed in ("foundF", "foundS"):
        names.fill(typed)
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(f"name={typed}"))
    page.keyboard.press("Escape")
    expect(rows(page, 4)).to_be_visible()
    choose(page, "State", words.label(State.FAILED))
    page.keyboard.press("Escape")
    expect(rows(page, 2)).to_be_visible()
    page.locator(".st-key-log-clear-all").get_by_role("button").click()
    expect(page).not_to_have_url(re.compile("state="))
    settled(page)
    page.get_by_role("button", name=words.MORE, exact=True).click()
    page.get_by_label(words.ERROR_TEXT).fill("answer within")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("error_text=answer"))
    choose(page, words.SUBSCRIBER, "mail.found")
    expect(rows(page, 2)).to_be_visible()
    page.keyboard.press("Escape")
    choose(page, words.TIME, words.RANGES[Range.HOUR])
    expect(page).to_have_url(re.compile("range=1h"))
    expect(page).to_have_url(re.compile("subscription=mail.found"))
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    expect(rows(page, 2)).to_be_visible()
    expect(page.get_by_role("button", name="error text: answer within")).to_be_visible()


def test_an_empty_list_says_whether_the_time_or_the_filter_leaves_it_empty(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.emit("bygone", key="BYGONE-2")
    dashboard.bus.add_history("bygone", f"{datetime.now(UTC) - timedelta(days=3):%Y-%m-%dT%H:%MZ}", "BYGONE-1")
    page.goto(f"{dashboard.address}/log?key=BYGONE-1")
    expect(page.get_by_text("Nothing in the last 24 hours.")).to_be_visible()
    page.get_by_role("button", name="1 older: show all").click()
    expect(rows(page, 1)).to_be_visible()
    page.goto(f"{dashboard.address}/log?key=BYGONE-0&range=all")
    expect(page.get_by_text(words.NO_MATCH)).to_be_visible()


def test_a_container_number_finds_what_has_it_in_its_payload(dashboard: Dashboard, page: Page) -> None:
    bus = dashboard.bus
    bus.run("SELECT buslog.set_ref_fields('{container}')")
    bus.emit("loaded", '{"container": "MSKU1234565"}', "REF-1")
    bus.run("SELECT buslog.fold_refs(1000)")
    page.goto(f"{dashboard.address}/key")
    page.get_by_label("Type a shipmentId").fill("MSKU1234565")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="a ref or an id of 1 message").click()
    expect(page).to_have_url(re.compile("/log\\?find=MSKU1234565"))
    expect(rows(page, 1)).to_be_visible()
    expect(page.get_by_role("row", name="loaded")).to_contain_text("REF-1")


# ── Message and key ─────────────────────────────────────────────────────────────


def test_a_message_says_in_words_why_it_has_not_run_and_what_people_and_attempts_did(
    dashboard: Dashboard, page: Page
) -> None:
    bus = dashboard.bus
    bus.subscribe("freight.mail:send", "explained")
    bus.start_worker()
    Operations(bus.dsn, ANNA).pause("freight.mail:send", reason="the server moves")
    root = bus.emit("explaining", key="WHY-1")
    message = bus.emit("explained", key="WHY-1", caused_by=root)
    page.goto(f"{dashboard.address}/message?id={message}")
    expect(page.get_by_text("by local:anna: “the server moves”")).to_be_visible()
    Operations(bus.dsn, ANNA).resume("freight.mail:send")
    bus.work(**{"freight.mail:send": "failed"})
    Operations(bus.dsn, ANNA).replay([DeliveryRef(message, "freight.mail:send")], reason="it is back")
    bus.run("UPDATE buslog.workers SET hosts = '{}'")
    expect(page.get_by_text("No live worker hosts this subscriber")).to_be_visible()
    bus.run("UPDATE buslog.workers SET hosts = ARRAY(SELECT id FROM buslog.subscriptions)")
    bus.work()
    expect(page.get_by_text("replayed once · last ok").first).to_be_visible()
    settled(page)
    page.get_by_text("1 attempt that raised").click()
    expect(page.get_by_text("carrier.py:12 in ask")).to_be_visible()
    page.reload()
    thread = page.get_by_test_id("stHtml").filter(has=page.locator("[aria-current]"))
    for told in ("explaining", "attempt 1 · CarrierTimeout: no answer within 5 s", "generation 2",
                 "local:anna replayed mail:send at", "“it is back”"):  # fmt: skip
        expect(thread).to_contain_text(told)
    expect(thread.get_by_role("img", name="freight.mail:send: succeeded; waited")).to_have_count(1)
    page.get_by_role("button", name=words.TICKET).click()
    ticket = page.get_by_test_id("stCode").filter(has_text="**Event `explained`**")
    expect(ticket).to_contain_text(f"/message?id={message}")
    expect(ticket).to_contain_text("CarrierTimeout: no answer within 5 s")


def test_a_keys_page_tells_its_story_what_is_stuck_now_and_offers_its_commands(
    dashboard: Dashboard, page: Page
) -> None:
    bus = dashboard.bus
    bus.run("""SELECT buslog.register('told.mail', ARRAY['told'], 'event',
                                      '{"policy": {"max_attempts": 3}, "ordered_by_key": true}', NULL, '', 'test')""")
    bus.subscribe("told.mail", "told")
    bus.run("UPDATE buslog.subscriptions SET policy = policy || '{}' WHERE subscription = 'told.mail'")
    bus.subscribe("told.resync", "toldResync", kind="command", schema=SHIPMENT, description="Asks again.")
    bus.emit("told", key="TOLD-1")
    bus.emit("toldToo", key="TOLD-1")
    bus.work(**{"told.mail": "failed"})
    Notes(bus.dsn, ANNA).add(About.KEY, "TOLD-1", "the customer was called")
    page.goto(f"{dashboard.address}/key?key=TOLD-1")
    expect(page.get_by_text("Now: 1 failed")).to_be_visible()
    story = page.get_by_test_id("stHtml").filter(has_text="told.mail: attempt 1 raised")
    expect(story).to_contain_text(re.compile("told.*attempt 1 raised.*local:anna the customer was called", re.DOTALL))
    outside = page.get_by_role("link", name=words.OPEN_OUTSIDE.format(key="TOLD-1"))
    expect(outside).to_have_attribute("href", "https://erp.example/s/TOLD-1")
    page.get_by_role("link", name="toldResync").click()
    expect(page.get_by_role("textbox", name="shipmentId")).to_have_value("TOLD-1")
    page.get_by_role("button", name="Run toldResync").click()
    expect(page.get_by_role("heading", name=words.THIS_RUN)).to_be_visible()
    assert bus.run("SELECT key FROM buslog.messages WHERE name = 'toldResync'") == [("TOLD-1",)]


def test_times_are_the_teams_until_a_reader_switches_to_utc(dashboard: Dashboard, page: Page) -> None:
    message = dashboard.bus.add_history("summer", "2026-07-01T22:30:00Z", "ZONE-1")
    page.goto(f"{dashboard.address}/message?id={message}")
    expect(page.get_by_text(f"Emitted ({ZONE})")).to_be_visible()
    expect(page.get_by_text("2026-07-02 00:30:00.000")).to_be_visible()
    page.get_by_text("UTC", exact=True).click()
    expect(page.get_by_text("Emitted (UTC)")).to_be_visible()
    expect(page.get_by_text("2026-07-01 22:30:00.000")).to_be_visible()
    page.get_by_role("link", name="Log", exact=True).first.click()
    expect(page.get_by_text("Times in UTC ·")).to_be_visible()
    with page.expect_download() as download:
        page.goto(f"{dashboard.address}/log?key=ZONE-1&range=all")
        page.get_by_role("button", name="Export").click()
        page.get_by_role("link", name="CSV", exact=True).click()
    assert download.value.suggested_filename.endswith("Z-UTC.csv")
    assert "ZONE-1,2026-07-01T22:30:00" in download.value.path().read_text()


# ── Commands and subscribers ────────────────────────────────────────────────────


def test_a_form_is_made_of_its_schema_filled_in_from_a_past_message_and_says_what_is_wrong_where(
    dashboard: Dashboard, page: Page
) -> None:
    bus = dashboard.bus
    bus.subscribe("plan.voyage", "planVoyage", kind="command", schema=VOYAGE)
    past = bus.emit("planVoyage", '{"stops": [{"port": "NLRTM", "eta": "2026-12-24"}], "carrier": "MSC"}')
    page.goto(f"{dashboard.address}/commands?command=planVoyage&from={past}")
    expect(page.get_by_text("Filled in from planVoyage")).to_be_visible()
    choose(page, "carrier", "MAEU")
    port = page.get_by_role("textbox", name="port")
    expect(port).to_have_value("NLRTM")
    page.get_by_role("button", name="Add to stops").click()
    port.nth(1).fill("X")
    page.keyboard.press("Tab")
    run = page.get_by_role("button", name="Run planVoyage")
    run.click()
    expect(page.get_by_text("has at least 5 characters")).to_be_visible()
    port.nth(1).fill("CNSHA")
    page.keyboard.press("Tab")
    run.click()
    expect(page.get_by_role("heading", name=words.THIS_RUN)).to_be_visible()
    (sent,) = bus.run("SELECT payload FROM buslog.messages WHERE name = 'planVoyage' AND id <> %s", past)
    assert sent[0] == {"stops": [{"port": "NLRTM", "eta": "2026-12-24"}, {"port": "CNSHA"}], "carrier": "MAEU"}


def test_pasted_keys_are_run_after_a_look_at_them_and_followed(dashboard: Dashboard, page: Page) -> None:
    bus = dashboard.bus
    bus.subscribe("many.resync", "manyResync", kind="command", schema=SHIPMENT)
    page.goto(f"{dashboard.address}/commands")
    page.locator(".st-key-open-manyResync").get_by_role("button").click()
    page.get_by_text(words.RUN_KEYS, exact=True).click()
    pasted = page.get_by_label("shipmentId, many")
    pasted.fill("MANY-1, MANY-2\nMANY-3 MANY-1")
    pasted.press("Control+Enter")
    expect(page.get_by_text("3 keys, 1 more stood there twice.")).to_be_visible()
    page.get_by_role("button", name="Run manyResync 3 times").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("buslog run manyResync --csv FILE")).to_be_visible()
    dialog.get_by_role("button", name="Run 3 times").click()
    expect(page.get_by_text("0 of 3 ended")).to_be_visible()
    bus.work(**{"many.resync": "failed"})
    expect(page.get_by_text("3 of 3 ended")).to_be_visible()
    expect(page.get_by_text("✕ failed 3").first).to_be_visible()
    settled(page)  # the last look at what has ended draws the page anew
    page.get_by_role("link", name=words.THE_FAILED).click()
    expect(rows(page, 3)).to_be_visible()


def test_subscribers_show_the_worst_first_with_their_figures_and_each_opens(dashboard: Dashboard, page: Page) -> None:
    bus = dashboard.bus
    bus.subscribe("worst.mail", "worst")
    for number in range(4):
        bus.emit("worst", key=f"WORST-{number}")
    bus.work(**{"worst.mail": "failed"})
    Operations(bus.dsn, ANNA).pause("worst.mail", reason="it is being mended")
    bus.emit("worst", key="WORST-4")
    page.goto(f"{dashboard.address}/subscribers?range=1h")
    worst = page.get_by_role("row", name="worst.mail")
    expect(worst).to_contain_text("100.0 %")
    worst.get_by_role("link", name=words.OPEN_SUBSCRIBER).click()
    expect(page.get_by_role("heading", name="Subscriber worst.mail")).to_be_visible()
    expect(page.get_by_text("it is being mended. Its deliveries wait")).to_be_visible()
    for told in ("4.0/h", "95 % ", "100.0 %"):
        expect(page.get_by_text(told).first).to_be_visible()


def test_a_link_in_a_list_turns_the_page_without_loading_it_anew_and_back_leads_back(
    dashboard: Dashboard, page: Page
) -> None:
    dashboard.bus.subscribe("turned.mail", "turned")
    page.goto(f"{dashboard.address}/subscribers?range=1h")
    link = page.get_by_role("row", name="turned.mail").get_by_role("link", name=words.OPEN_SUBSCRIBER)
    expect(link).to_be_visible()
    page.evaluate("window.isTheSame = true")
    link.click()
    expect(page.get_by_role("heading", name="Subscriber turned.mail")).to_be_visible()
    expect(page).to_have_url(re.compile("/subscribers\\?.*subscription=turned.mail"))
    page.go_back()
    expect(link).to_be_visible()
    assert page.evaluate("window.isTheSame")
    with page.context.expect_page() as opened:
        link.click(modifiers=["ControlOrMeta"])
    expect(opened.value.get_by_role("heading", name="Subscriber turned.mail")).to_be_visible()
    expect(link).to_be_visible()


def test_the_head_of_a_column_sorts_a_list_by_its_figures_and_again_the_other_way(
    dashboard: Dashboard, page: Page
) -> None:
    bus = dashboard.bus
    for number, name in ((1, "sorted.one"), (10, "sorted.ten"), (2, "sorted.two")):
        bus.subscribe(name, name)
        for _ in range(number):
            bus.emit(name)
    page.goto(f"{dashboard.address}/subscribers?range=1h")
    rows = page.get_by_role("row", name="sorted.")
    expect(rows).to_have_count(3)
    head = page.get_by_role("columnheader", name="Waiting")
    for way, order in (("ascending", ["one", "two", "ten"]), ("descending", ["ten", "two", "one"])):
        head.get_by_role("button").press("Enter")
        expect(head).to_have_attribute("aria-sort", way)
        for place, name in enumerate(order):
            expect(rows.nth(place)).to_contain_text(f"sorted.{name}")


# ── by keyboard ─────────────────────────────────────────────────────────────────


def test_pages_of_fifty_are_turned_by_button_and_key_and_where_one_types_a_letter_is_a_letter(
    dashboard: Dashboard, page: Page
) -> None:
    bus = dashboard.bus
    bus.run("SELECT buslog.emit('keyed', '{}', 'K-' || n) FROM generate_series(1, 120) AS n")
    page.goto(f"{dashboard.address}/log?name=keyed")
    first = page.get_by_role("row").nth(1)  # below the head
    expect(first).to_contain_text("K-120")
    for label, key in ((words.OLDER, "K-70"), (words.OLDER, "K-20"), (words.NEWER, "K-70"), (words.NEWEST, "K-120")):
        settled(page)
        page.get_by_role("button", name=re.compile(f"^{label}")).click()
        expect(first).to_contain_text(key)
    for shortcut, key in ((Shortcut.OLDER, "K-70"), (Shortcut.NEWER, "K-120"), (Shortcut.OLDER, "K-70"),
                          (Shortcut.NEWEST, "K-120")):  # fmt: skip
        settled(page)
        page.keyboard.press(shortcut.lower())
        expect(first).to_contain_text(key)
    find = page.get_by_role("textbox", name="Find by id")
    find.press_sequentially(Shortcut.OLDER.lower() * 3)
    expect(find).to_have_value("ooo")
    find.clear()
    find.press("Tab")
    expect(first).to_contain_text("K-120")
    bus.emit("keyed", key="K-121")
    page.get_by_role("heading", name="Log").click()
    settled(page)
    page.keyboard.press(Shortcut.REFRESH.lower())
    expect(first).to_contain_text("K-121")
    settled(page)
    page.keyboard.press(Shortcut.HELP.lower())
    dialog = page.get_by_role("dialog")
    for told in words.SHORTCUTS.values():
        expect(dialog.get_by_text(told)).to_be_visible()


def test_a_key_acknowledges_a_cause_and_asks_about_a_replay_but_sends_nothing(dashboard: Dashboard, page: Page) -> None:
    bus = dashboard.bus
    bus.subscribe("mail", "pressed")
    failures_of(bus, "the tray is empty", key="PRESSED-1", name="pressed", times=2)
    cause = group_of(bus, "the tray is empty")
    page.goto(f"{dashboard.address}/failures?group={cause.fingerprint}")
    expect(page.get_by_role("button", name=words.ACKNOWLEDGE)).to_be_enabled()
    settled(page)
    page.keyboard.press(Shortcut.ACKNOWLEDGE.lower())
    expect(page.get_by_text("◐ acknowledged").first).to_be_visible()
    tick_row(page.get_by_test_id("stDataFrame"), 0)
    expect(page.get_by_role("button", name="Replay 1 delivery")).to_be_enabled()
    settled(page)
    page.keyboard.press(Shortcut.REPLAY.lower())
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(words.RUN_REASON_OPTIONAL).fill("the tray is filled")
    dialog.get_by_text(words.FROM_A_TERMINAL).click()
    page.keyboard.press(Shortcut.REPLAY.lower())
    expect(dialog.get_by_text("buslog runs start")).to_be_visible()
    expect(dialog.get_by_label(words.RUN_REASON_OPTIONAL)).to_have_value("the tray is filled")
    assert bus.run("SELECT count(*) FROM buslog.replays WHERE state <> 'previewed'") == [(0,)]
