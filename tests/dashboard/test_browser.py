"""In a real browser, against a real server. Few, and waiting for what a reader sees."""

from __future__ import annotations

import csv
import json
import re
import socket
import urllib.error
import urllib.request
import uuid
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Dashboard, served
from tests.dashboard.hands import OPEN, TICK, click_bar, click_row, settled, tick_row

EVIL = "![x](http://evil.example/x.png) <img src=http://evil.example/y.png>"
IS_WHOLE = "box => box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight"


def status(address: str, *, host: str | None = None, **headers: str) -> int:
    request = urllib.request.Request(address, headers={**headers, **({"Host": host} if host else {})})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


# ── who may talk to it ──────────────────────────────────────────────────────────


def test_a_deep_link_after_a_restart_still_has_the_frame(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.emit("deepLinked", key="DEEP-1")
    with served(dashboard.bus.dsn) as fresh:
        page.goto(f"{fresh}/log?key=DEEP-1")
        expect(page.get_by_text("1 row:")).to_be_visible()
        expect(page.get_by_role("link", name="Failures")).to_be_visible()
        expect(page.get_by_text("acting as local")).to_be_visible()
        page.goto("about:blank")


def test_another_host_or_path_is_refused_and_every_answer_is_guarded(dashboard: Dashboard) -> None:
    address = dashboard.address
    assert status(address) == 200
    assert status(address, host="evil.example") == 403
    assert status(address, host=f"localhost:{address.rsplit(':', 1)[1]}") == 200
    assert status(address, Origin="http://evil.example") == 403
    assert status(f"{address}/export.csv", **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}) == 403
    for unknown in ("/nonsense", "/log.php"):
        assert status(address + unknown) == 404
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["overview", "Log", "log/S-42", "elsewhere/log"])
def test_an_address_of_no_page_says_so_and_leads_to_those_that_there_are(
    dashboard: Dashboard, page: Page, path: str
) -> None:
    answer = page.goto(f"{dashboard.address}/{path}")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading", name="There is no such page.")).to_be_visible()
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert page.url == f"{dashboard.address}/"


@pytest.mark.parametrize(
    ("origin", "host", "is_let_in"),
    [(None, None, False), ("http://evil.example", None, False), ("http://evil.example", "evil.example", False),
     ("own", None, True)],
)  # fmt: skip
def test_a_websocket_is_for_pages_of_the_dashboard_only(
    dashboard: Dashboard, origin: str | None, host: str | None, is_let_in: bool
) -> None:
    # By hand: a client library would not send another's host name.
    lines = [
        "GET /_stcore/stream HTTP/1.1", f"Host: {host or dashboard.host}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: streamlit",
        *([f"Origin: {dashboard.address if origin == 'own' else origin}"] if origin else []), "", "",
    ]  # fmt: skip
    address, port = dashboard.host.split(":")
    with socket.create_connection((address, int(port)), timeout=10) as knocking:
        knocking.sendall("\r\n".join(lines).encode())
        answer = knocking.recv(1024).decode()
    assert answer.startswith("HTTP/1.1 101" if is_let_in else "HTTP/1.1 403")


# ── looking ─────────────────────────────────────────────────────────────────────


def test_the_log_is_filtered_by_key_and_exported_whole(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.run("SELECT buslog.emit('bulk', '{}', 'BULK-1') FROM generate_series(1, 120)")
    dashboard.bus.emit("bulk", key="BULK-2")
    page.goto(f"{dashboard.address}/log")
    page.get_by_role("textbox", name="Find by id").fill("BULK-1")
    page.get_by_role("textbox", name="Find by id").press("Enter")
    expect(page.get_by_text("120 rows:")).to_be_visible()
    expect(page).to_have_url(re.compile("find=BULK-1"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
        page.get_by_role("link", name="CSV", exact=True).click()
    assert download.value.suggested_filename.startswith("buslog-BULK-1-last-24h-")
    with download.value.path().open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 120
    assert {row["key"] for row in rows} == {"BULK-1"}


def test_back_leads_to_the_list_as_it_was(dashboard: Dashboard, page: Page) -> None:
    for name in ("walkedFirst", "walkedSecond", "walkedThird"):
        dashboard.bus.emit(name, key="WALK-1")
    page.goto(f"{dashboard.address}/log?find=WALK-1")
    expect(page.get_by_text("3 rows:")).to_be_visible()
    page.get_by_role("row", name="walkedFirst").get_by_role("link", name="Open").click()
    expect(page.get_by_role("heading", name="Event walkedFirst")).to_be_visible()
    expect(page).to_have_url(re.compile("/message\\?id="))
    page.go_back()
    expect(page.get_by_text("3 rows:")).to_be_visible()
    expect(page.get_by_role("textbox", name="Find by id")).to_have_value("WALK-1")


def test_a_key_of_the_list_leads_to_its_page_and_back_to_the_same_rows(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.run("SELECT buslog.emit('turned', '{}', 'TURN-' || n) FROM generate_series(1, 120) AS n")
    page.goto(f"{dashboard.address}/log?name=turned")
    expect(page.get_by_role("link", name="TURN-120", exact=True)).to_be_visible()
    settled(page)
    page.get_by_role("button", name="Older").click()
    link = page.get_by_role("link", name="TURN-42", exact=True)
    link.click()
    expect(page.get_by_role("heading", name="shipmentId TURN-42")).to_be_visible()
    expect(page).to_have_url(f"{dashboard.address}/key?key=TURN-42")
    page.go_back()
    expect(link).to_be_visible()
    expect(page).to_have_url(re.compile("name=turned&older="))
    expect(page.get_by_text("120 rows:")).to_be_visible()


LONG = "long text with blanks in it, and then_a_word_that_does_not_end_where_one_would_like_it_to"


def test_a_list_fits_its_page_and_the_mouse_tells_what_is_cut_off(dashboard: Dashboard, page: Page) -> None:
    bus = dashboard.bus
    bus.subscribe(f"wide {LONG}", f"widened {LONG}")
    for number in range(50):
        bus.emit(f"widened {LONG}", key=f"WIDE-{number} {LONG}")
    bus.work(**{f"wide {LONG}": "failed"})
    bus.run("UPDATE buslog.ended_deliveries SET repeats = 1, generation = 3, error_type = %s", LONG)
    page.goto(f"{dashboard.address}/log?name={quote(f'widened {LONG}')}")
    box = page.get_by_role("region", name="Deliveries, newest first")
    expect(box.get_by_role("row")).to_have_count(51)
    expect(box.get_by_text("sent again")).to_have_count(50)
    for label in ("Name", "shipmentId", "Subscriber", "Replays", "Last error"):
        wide = box.get_by_role("columnheader", name=label).bounding_box()
        assert wide is not None
        assert wide["width"] > 100, "some words of it can be read"
    assert box.evaluate(IS_WHOLE), "all columns and rows are seen, none is scrolled to"
    cut = box.get_by_role("cell").evaluate_all(
        "cells => cells.filter(cell => cell.scrollWidth > cell.clientWidth).map(cell => [cell.textContent, cell.title])"
    )
    assert len(cut) >= 200
    assert [text for text, title in cut if text != title] == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "the list scrolls, and not the page"
    assert not box.evaluate(IS_WHOLE)


def test_heads_of_the_log_sort_the_rows_of_its_page_and_say_so(dashboard: Dashboard, page: Page) -> None:
    for name in ("headed b", "headed c", "headed a"):
        dashboard.bus.emit(name, key="HEAD-1")
    page.goto(f"{dashboard.address}/log?find=HEAD-1")
    rows = page.get_by_role("row", name="headed")
    expect(rows).to_have_text([re.compile(f"headed {letter}") for letter in "acb"])
    settled(page)
    page.get_by_role("button", name="Name", exact=True).click()
    expect(rows).to_have_text([re.compile(f"headed {letter}") for letter in "abc"])
    head = page.get_by_role("columnheader", name="Emitted").get_by_role("button")
    expect(head).to_have_attribute("title", "Sorts the rows of this page")
    head.click()
    expect(rows).to_have_text([re.compile(f"headed {letter}") for letter in "bca"])


def test_a_hostile_key_of_a_list_is_told_by_the_mouse_and_leads_to_its_page(dashboard: Dashboard, page: Page) -> None:
    hostile = f"'\"> {EVIL} <b onmouseover=\"document.title='evil'\">"
    dashboard.bus.subscribe("hostile", hostile)
    dashboard.bus.emit(hostile, key=hostile)
    dashboard.bus.work(hostile="failed")
    dashboard.bus.run("UPDATE buslog.ended_deliveries SET error_type = %s WHERE error_type <> %s", hostile, LONG)
    page.goto(f"{dashboard.address}/log?key={quote(hostile)}")
    link = page.get_by_role("link", name=hostile, exact=True)
    expect(link).to_be_visible()
    row = page.get_by_role("row").nth(1)
    titles = row.get_by_role("cell").evaluate_all("cells => cells.map(cell => cell.title).filter(Boolean)")
    assert titles.count(hostile) == 3, "name, key and error"
    for cell in row.get_by_role("cell").all():
        cell.hover()
    assert page.title() != "evil"
    link.click()
    expect(page.get_by_role("heading", name=f"shipmentId {hostile}")).to_be_visible()
    assert page.locator("img[src*='evil']").count() == 0


def test_a_hostile_text_is_shown_as_it_is_and_loads_nothing(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.subscribe(f"{EVIL} subscriber", EVIL)
    message = dashboard.bus.emit(EVIL, json.dumps({"text": EVIL}), key="EVIL-1")
    dashboard.bus.work(**{f"{EVIL} subscriber": "failed"})
    dashboard.bus.run("UPDATE buslog.ended_deliveries SET error = %s WHERE message_id = %s", EVIL, message)
    page.goto(f"{dashboard.address}/message?id={message}")
    expect(page.get_by_role("heading", name="Event ![x](http://evil.example/x.png)")).to_be_visible()
    expect(page.get_by_text(f"{EVIL} subscriber").first).to_be_visible()
    assert page.locator("img[src*='evil']").count() == 0


# ── acting ──────────────────────────────────────────────────────────────────────


def test_a_failure_is_opened_replayed_and_seen_to_succeed(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.subscribe("mail.one", "orderOne")
    dashboard.bus.emit("orderOne", key="ONE-1")
    dashboard.bus.work(**{"mail.one": "failed"})
    page.goto(f"{dashboard.address}/failures?key=ONE-1&show=deliveries")
    expect(page.get_by_text("1 failed")).to_be_visible()
    opened = page.get_by_role("heading", name="Event orderOne")
    click_row(page.get_by_test_id("stDataFrame").last, 0, x=TICK * 2 + OPEN, until=opened)
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_text("○ pending").first).to_be_visible()
    dashboard.bus.work()
    expect(page.get_by_text("✓ succeeded").first).to_be_visible()
    expect(page.get_by_text("replayed once · last ok").first).to_be_visible()


def test_selected_failures_are_replayed_after_a_look_at_how_many(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.subscribe("mail.many", "orderMany")
    for _ in range(3):
        dashboard.bus.emit("orderMany", key="MANY-1")
    dashboard.bus.work(**{"mail.many": "failed"})
    page.goto(f"{dashboard.address}/failures?key=MANY-1&show=deliveries")
    expect(page.get_by_text("3 failed")).to_be_visible()
    grid = page.get_by_test_id("stDataFrame").last
    tick_row(grid, 0)
    expect(page.get_by_role("button", name="Replay 1 delivery")).to_be_visible()
    tick_row(grid, 2)
    page.get_by_role("button", name="Replay 2 deliveries").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("picked by hand from")).to_be_visible()
    dialog.get_by_role("button", name="Replay 2 deliveries").click()
    expect(page.get_by_role("heading", name="Replay · 2 deliveries")).to_be_visible()
    dashboard.bus.run("UPDATE buslog.replays SET next_at = clock_timestamp()")
    dashboard.bus.run("SELECT buslog.carry_on(1000)")
    assert dashboard.bus.run("SELECT count(*) FROM buslog.deliveries WHERE generation = 2") == [(2,)]
    dashboard.bus.work()


def test_a_command_is_run_from_its_form_and_its_result_is_shown(dashboard: Dashboard, page: Page) -> None:
    schema = {"type": "object", "required": ["shipmentId"], "properties": {"shipmentId": {"type": "string"}}}
    dashboard.bus.subscribe("tracking.resync", "resyncTracking", kind="command", schema=json.dumps(schema))
    page.goto(f"{dashboard.address}/commands?command=resyncTracking")
    page.get_by_role("textbox", name="shipmentId").fill("RUN-1")
    page.get_by_role("button", name="Run resyncTracking").click()
    expect(page.get_by_text("○ pending").first).to_be_visible()
    dashboard.bus.work()
    expect(page.get_by_text("✓ succeeded").first).to_be_visible()
    expect(page.get_by_text('"updated"')).to_be_visible()


def test_a_bar_of_the_chart_leads_to_its_messages(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.emit("charted", key=str(uuid.uuid4()))
    page.goto(f"{dashboard.address}/?range=1h")
    bars = page.locator(".js-plotly-plot .point path")
    click_bar(bars, re.compile("/log\\?from="))
    expect(page.get_by_role("heading", name="Log")).to_be_visible()
