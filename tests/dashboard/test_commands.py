"""The page of commands: one run, many, a file; prefilled, asked about, once for each form; and in a real browser."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import FilePayload, Page, expect
from streamlit.testing.v1 import AppTest

from tests.dashboard.conftest import Dashboard, Open, all_text
from tests.dashboard.hands import settled

if TYPE_CHECKING:
    from tests.conftest import BusByHand

SCHEMA = json.dumps({
    "type": "object", "required": ["shipmentId"],
    "properties": {
        "shipmentId": {"type": "string", "minLength": 3, "description": "For example S-1001"},
        "newest": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    },
})  # fmt: skip
VOYAGE = json.dumps({
    "type": "object", "required": ["stops"],
    "properties": {
        "number": {"type": "integer"},
        "stops": {"type": "array", "minItems": 1, "maxItems": 2, "items": {
            "type": "object", "required": ["port"],
            "properties": {"port": {"type": "string", "minLength": 5}, "eta": {"type": "string", "format": "date"}},
        }},
        "carrier": {"anyOf": [{"type": "object", "required": ["scac"], "properties": {"scac": {"type": "string"}}},
                              {"type": "null"}]},
    },
})  # fmt: skip
RUN = "Run resyncTracking"


@pytest.fixture
def resync(by_hand18: BusByHand) -> BusByHand:
    by_hand18.subscribe("tracking.resync", "resyncTracking", kind="command", schema=SCHEMA, description="Ask again.")
    return by_hand18


def press(at: AppTest, label: str) -> AppTest:
    return next(button for button in at.button if button.label.startswith(label)).click().run()


def messages(bus: BusByHand) -> list[tuple[Any, ...]]:
    return bus.run("SELECT key, payload FROM buslog.messages ORDER BY id")


def test_a_card_shows_how_the_last_runs_went_and_which_role_it_needs(open_page: Open, resync: BusByHand) -> None:
    assert "Never run yet." in all_text(open_page("commands"))
    resync.run('UPDATE buslog.subscriptions SET policy = policy || \'{"role": "admin"}\'')
    resync.emit("resyncTracking", '{"shipmentId": "S-1"}')
    resync.work(**{"tracking.resync": "failed"})
    resync.emit("resyncTracking", '{"shipmentId": "S-2"}')
    resync.work()
    text = all_text(open_page("commands"))
    for told in ("needs admin", "✓ succeeded", "1 of the last 2 failed", "live"):
        assert told in text


def test_nested_objects_and_rows_are_asked_for_and_every_fault_is_at_its_field(
    open_page: Open, by_hand18: BusByHand
) -> None:
    by_hand18.subscribe("x.plan", "planVoyage", kind="command", schema=VOYAGE)
    at = open_page("commands", command="planVoyage")
    assert "at least 5 characters" in str([widget.label for widget in at.text_input])
    press(at, "Add to stops")
    assert next(button for button in at.button if button.label.startswith("Add to stops")).disabled
    at.text_input(key="planVoyage.stops.0.port").set_value("FRLEH")
    at.text_input(key="planVoyage.stops.1.port").set_value("X")
    at.text_input(key="planVoyage.number").set_value("9007199254740993")
    at.toggle(key="planVoyage.carrier").set_value(True).run()
    press(at, "Run planVoyage")
    text = all_text(at)
    assert "has at least 5 characters" in text
    assert "is required" in text
    assert messages(by_hand18) == []
    at.button(key="planVoyage.stops.0.remove").click().run()
    assert at.text_input(key="planVoyage.stops.1.port").value == "X"
    at.text_input(key="planVoyage.stops.1.port").set_value("CNSHA")
    at.text_input(key="planVoyage.carrier.scac").set_value("MAEU").run()
    press(at, "Run planVoyage")
    assert messages(by_hand18) == [
        (None, {"number": 9007199254740993, "stops": [{"port": "CNSHA"}], "carrier": {"scac": "MAEU"}})
    ]


def test_a_form_is_filled_in_from_a_past_message_and_from_a_key(open_page: Open, resync: BusByHand) -> None:
    past = resync.emit("resyncTracking", '{"shipmentId": "S-77", "newest": 5}')
    at = open_page("commands", command="resyncTracking", **{"from": str(past)})
    assert [widget.value for widget in at.text_input][:1] == ["S-77"]
    assert at.number_input[0].value == 5
    assert "Filled in from resyncTracking" in all_text(at)
    at = open_page("commands", command="resyncTracking", key="S-42")
    assert at.text_input[0].value == "S-42"
    press(at, RUN)
    assert messages(resync)[-1] == ("S-42", {"shipmentId": "S-42", "newest": 20})
    for nonsense in ("nope", "00000000-0000-0000-0000-000000000000"):
        assert "was not found" in all_text(open_page("commands", command="resyncTracking", **{"from": nonsense}))


def test_pasted_keys_are_counted_and_refused_as_a_whole(open_page: Open, resync: BusByHand) -> None:
    at = open_page("commands", command="resyncTracking")
    at.segmented_control[0].set_value("Many keys").run()
    assert next(button for button in at.button if button.label.startswith(RUN)).disabled
    at.text_area(key="resyncTracking.keys").set_value("S-1, S-2\nS-1 S").run()
    assert "3 keys, 1 more stood there twice." in all_text(at)
    press(at, RUN)
    assert "Nothing was run" in all_text(at)
    assert messages(resync) == []
    at.text_area(key="resyncTracking.keys").set_value("S-1, S-2\nS-1 S-3").run()
    press(at, f"{RUN} 3 times")  # a look at them first: see below, in a browser
    assert "resyncTracking, 3 runs" in all_text(at)
    assert messages(resync) == []


def test_a_run_for_the_same_key_within_minutes_is_asked_about_first(open_page: Open, resync: BusByHand) -> None:
    resync.emit("resyncTracking", '{"shipmentId": "S-1"}')
    resync.work(**{"tracking.resync": "failed"})
    at = open_page("commands", command="resyncTracking", key="S-1")
    press(at, RUN)
    assert len(messages(resync)) == 1
    text = all_text(at)
    assert "The same ran lately" in text
    assert "1 run of resyncTracking for 1 key in the last 10 min:" in text
    assert "ago · by SQL" in text


# ── in a real browser ───────────────────────────────────────────────────────────


def test_four_quick_clicks_run_once_and_a_second_run_is_asked_about(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.subscribe("tracking.quick", "quickTracking", kind="command", schema=SCHEMA)
    page.goto(f"{dashboard.address}/commands?command=quickTracking")
    page.get_by_role("textbox", name="shipmentId").fill("QUICK-1")
    page.get_by_role("textbox", name="shipmentId").press("Tab")
    button = page.get_by_role("button", name="Run quickTracking")
    expect(button).to_be_enabled()
    button.evaluate("button => { for (let i = 0; i < 4; i++) button.click() }")
    expect(page.get_by_role("heading", name="This run")).to_be_visible()
    dashboard.bus.work()
    expect(page.get_by_text('"updated"')).to_be_visible()
    assert dashboard.bus.run("SELECT count(*) FROM buslog.messages WHERE name = 'quickTracking'") == [(1,)]
    settled(page)  # the button of the form that was sent stands beside the next one's for a moment
    page.get_by_role("button", name="Run quickTracking").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("The same ran lately")).to_be_visible()
    expect(dialog.get_by_text("QUICK-1 · ")).to_be_visible()
    dialog.get_by_role("button", name="Run anyway").click()
    expect(page.get_by_text("○ pending").first).to_be_visible()
    assert dashboard.bus.run("SELECT count(*) FROM buslog.messages WHERE name = 'quickTracking'") == [(2,)]


def test_a_file_is_looked_at_confirmed_by_its_count_and_followed(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.subscribe("tracking.file", "fileTracking", kind="command", schema=SCHEMA)
    page.goto(f"{dashboard.address}/commands?command=fileTracking")
    page.get_by_text("A CSV file").click()
    upload = page.locator("input[type=file]")
    rows = "".join(f"FILE-{number};{number % 50 + 1}\n" for number in range(120))
    bad: FilePayload = {"name": "bad.csv", "mimeType": "text/csv", "buffer": b"shipmentId;newest\nS-1;3\nS-2;x\n"}
    upload.set_input_files([bad])
    expect(page.get_by_text("Nothing of this file is run until all of it can be.")).to_be_visible()
    expect(page.get_by_role("button", name="Run fileTracking")).to_be_disabled()
    page.reload()
    page.get_by_text("A CSV file").click()
    good: FilePayload = {
        "name": "good.csv",
        "mimeType": "text/csv",
        "buffer": f"\ufeffshipmentId;newest\n{rows}".encode(),
    }
    upload.set_input_files([good])
    page.get_by_role("button", name="Run fileTracking 120 times").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Run 120 times").click()
    expect(dialog.get_by_text("is 120, as it stands above")).to_be_visible()
    dialog.get_by_label("Type 120 to confirm").fill("120")
    dialog.get_by_role("button", name="Run 120 times").click()
    expect(page.get_by_text("0 of 120 ended")).to_be_visible()
    expect(page).to_have_url(re.compile("run="))
    dashboard.bus.work()
    expect(page.get_by_text("120 of 120 ended")).to_be_visible()


def test_what_is_exported_by_the_menu_opens_in_a_european_excel(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.emit("exported", key="MENU-1")
    page.goto(f"{dashboard.address}/log?key=MENU-1")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Excel (Europe)").click()
    assert download.value.suggested_filename.endswith("-UTC-excel.csv")
    first, second = download.value.path().read_text(encoding="utf-8").splitlines()
    assert first.startswith("\ufeffmessage_id;kind;name;key;emitted_at (UTC);")
    assert ";event;exported;MENU-1;" in second
    (row,) = dashboard.bus.run("SELECT outcome FROM buslog.operations WHERE verb = 'export ended'")
    assert row[0] == {"filter": {"key": "MENU-1", "range": "24h"}, "format": "excel", "rows": 1, "finished": True}
