"""The filter bar, saved views, the Log and its clock: by AppTest, and what only a browser shows in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest

from buslog.config import settings
from buslog.console import words
from buslog.desk import Actor
from buslog.filter import Filter, Range
from buslog.insights import LogRow
from buslog.message import Kind, Mode, State
from buslog.views import Views
from tests.dashboard.conftest import Dashboard, Open, all_text, column_of

if TYPE_CHECKING:
    from tests.conftest import BusByHand

MANY = tuple(f"SHIPMENT-2026-{number:06}" for number in range(200))


def press(at: AppTest, label: str) -> AppTest:
    (button,) = [button for button in at.button if spoken(button.label) == label]
    return button.click().run()


def spoken(label: str) -> str:
    """As a reader sees it: letters of Markdown are escaped."""
    return re.sub(r"\\(.)", r"\1", label)


def keys(at: AppTest) -> list[str]:
    return column_of(at, "shipmentId")


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("BUSLOG_TZ", "Europe/Berlin")
    settings.cache_clear()
    yield
    settings.cache_clear()


# ── find ────────────────────────────────────────────────────────────────────────


def test_the_search_box_takes_a_key_a_ref_and_an_id_and_many_at_once(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.run("SELECT buslog.set_ref_fields('{container}')")
    by_hand18.emit("departed", '{"container": "MSKU1"}', "S-1")
    second = by_hand18.emit("departed", "{}", "S-2")
    by_hand18.emit("departed", "{}", "S-3")
    by_hand18.run("SELECT buslog.fold_refs(100)")
    at = open_page("log")
    for typed, found in (("S-3", ["S-3"]), ("msku1", ["S-1"]), (str(second), ["S-2"])):
        at.text_input(key="log.find").set_value(typed).run()
        assert keys(at) == found
        assert at.query_params == {"find": typed}
    at.text_input(key="log.find").set_value(f"msku1,\n{second}  S-9").run()
    assert keys(at) == ["S-2", "S-1"]
    assert "find: 3 pasted values" in spoken(all_text(at))
    assert keys(open_page("log", find=at.query_params["find"])) == ["S-2", "S-1"]


def test_what_is_too_long_for_an_address_is_kept_and_the_address_shows_it_to_others(
    open_page: Open, by_hand18: BusByHand
) -> None:
    by_hand18.emit("departed", "{}", MANY[7])
    by_hand18.emit("departed", "{}", "another")
    at = open_page("log")
    at.text_input(key="log.find").set_value("\n".join(MANY)).run()
    assert keys(at) == [MANY[7]]
    (view,) = by_hand18.run("SELECT id FROM buslog.saved_views WHERE name IS NULL")
    assert at.query_params == {"view": str(view[0])}
    assert keys(open_page("log", view=str(view[0]))) == [MANY[7]]
    assert by_hand18.run("SELECT count(*) FROM buslog.saved_views") == [(1,)]
    assert f"/export.csv?view={view[0]}" in all_text(at)
    press(at, "find: 200 pasted values")
    assert at.query_params == {}


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"view": "42"}, "is the id of a saved view"),
        ({"view": "019a3c5e-7f10-7abc-8def-0123456789ab"}, "There is no such"),
        ({"view": "019a3c5e-7f10-7abc-8def-0123456789ab", "key": "S-1"}, "stands alone"),
        ({"find": "k" * 60_000}, "has 1 to 200 characters"),
        ({"find": " ".join(map(str, range(1001)))}, "at most a thousand values"),
        ({"payload": "{"}, "is JSON"),
        ({"payload": '{"a": 1}', "range": "all"}, "Narrow the time range"),
        ({"correlation": "x'; DROP TABLE"}, "is an id"),
        ({"sort": "id;drop"}, "is the name of a filter"),
        ({"page": "-1"}, "is the name of a filter"),
        ({"from": "294277-01-01T00:00:00Z"}, "ISO 8601"),
        ({"error_text": "a\x00b"}, "is printable text"),
    ],
)
def test_a_hostile_address_is_answered_in_words_and_the_filters_can_be_edited(
    open_page: Open, by_hand18: BusByHand, params: dict[str, str], says: str
) -> None:
    by_hand18.emit("departed", "{}", "S-42")
    at = open_page("log", **params)
    assert not at.exception
    assert says in all_text(at)
    assert "our fault" not in all_text(at)
    at.selectbox(key="log.range").set_value(Range.HOUR)
    at.text_input(key="log.payload").set_value("")
    at.text_input(key="log.find").set_value("S-42").run()
    assert keys(at) == ["S-42"]


def test_signs_that_sql_reads_are_letters_in_a_search(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail.notify", "departed")
    by_hand18.emit("departed", "{}", "S-1")
    by_hand18.work(**{"mail.notify": "failed"})
    by_hand18.run("UPDATE buslog.ended_deliveries SET error = %s", "100% of_it")
    assert keys(open_page("log", error_text="% of_")) == ["S-1"]
    assert "No message matches" in all_text(open_page("log", error_text="1_0"))
    assert "No message matches" in all_text(open_page("log", find="%"))


# ── chips and choices ───────────────────────────────────────────────────────────


def test_each_chip_takes_its_filter_away_and_clear_all_takes_all_but_the_time(
    open_page: Open, by_hand18: BusByHand
) -> None:
    by_hand18.emit("departed", "{}", "S-1")
    at = open_page("log", key="S-1", find="S-1", name="departed", error_text="x", range="7d")
    press(at, "error text: x")
    assert at.query_params == {"key": "S-1", "find": "S-1", "name": "departed", "range": "7d"}
    press(at, "shipmentId: S-1")
    assert at.query_params == {"find": "S-1", "name": "departed", "range": "7d"}
    press(at, "Clear all")
    assert at.query_params == {"range": "7d"}
    assert not [button for button in at.button if button.label == "Clear all"]


def test_names_with_failures_come_first(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail.notify", "zzz last")
    by_hand18.emit("aaa first")
    by_hand18.emit("zzz last")
    by_hand18.work(**{"mail.notify": "failed"})
    while by_hand18.run("SELECT buslog.fold_series(1000)") == [(True,)]:
        pass
    assert open_page("log").multiselect(key="log.names").options == ["zzz last  ·  failing", "aaa first"]


def test_failures_has_the_same_bar(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail.notify", "departed")
    for key in ("S-1", "S-2"):
        by_hand18.emit("departed", "{}", key)
    by_hand18.work(**{"mail.notify": "failed"})
    at = open_page("failures", show="deliveries")
    at.text_input(key="failures.find").set_value("S-2").run()
    assert list(at.dataframe[-1].value["key"]) == ["S-2"]
    assert at.query_params == {"find": "S-2", "show": "deliveries"}


# ── the list ────────────────────────────────────────────────────────────────────


def test_new_rows_are_offered_and_not_put_under_the_reader(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.emit("departed", "{}", "S-1")
    at = open_page("log")
    for number in range(12):
        by_hand18.emit("departed", "{}", f"N-{number}")
    at.run()
    assert keys(at) == ["S-1"]
    press(at, "12 new: show")
    assert len(keys(at)) == 13
    assert not [button for button in at.button if "new: show" in button.label]
    by_hand18.emit("departed", "{}", "S-2")
    press(at, "Refresh")
    assert keys(at)[0] == "S-2"


def test_a_list_that_is_slow_to_count_is_shown_all_the_same(
    open_page: Open, by_hand18: BusByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    from buslog.errors import DatabaseUnavailable
    from buslog.insights import Insights

    def slow(*_: object) -> None:
        raise DatabaseUnavailable(field="query", rule="answers within the statement time-out")

    monkeypatch.setattr(Insights, "tally", slow)
    monkeypatch.setattr(Insights, "outside", slow)
    by_hand18.emit("departed", "{}", "S-1")
    at = open_page("log")
    assert keys(at) == ["S-1"]
    assert "More rows than could be counted in time" in all_text(at)
    at.text_input(key="log.find").set_value("absent").run()
    press(at, "Look at all time")
    assert at.query_params == {"find": "absent", "range": "all"}


@pytest.mark.parametrize(
    ("generation", "state", "says"),
    [
        (1, State.FAILED, ""),
        (2, State.SUCCEEDED, "replayed once · last ok"),
        (3, State.FAILED, "replayed ×2 · last failed"),
        (3, State.PENDING, "replayed ×2 · last pending"),
        (2, State.CANCELLED, ""),
        (None, State.UNROUTED, ""),
    ],
)
def test_a_row_tells_how_often_it_was_replayed_and_what_came_of_it(
    generation: int | None, state: State, says: str
) -> None:
    from uuid import uuid4

    now = datetime.now(UTC)
    row = LogRow(uuid4(), 1, Kind.EVENT, "a", None, now, "s", Mode.ASYNC, state, generation, 1, None, None, None)
    assert words.replays(row) == says


# ── views ───────────────────────────────────────────────────────────────────────


def test_a_view_of_the_team_is_chosen_and_somebody_elses_own_is_not_listed(
    open_page: Open, by_hand18: BusByHand
) -> None:
    ben = Views(by_hand18.dsn, Actor("local:ben", "dashboard"))
    ben.save("Carrier *down*", Filter(states=(State.FAILED,), range=Range.WEEK), is_shared=True)
    ben.save("Private", Filter(key="S-1"))
    at = open_page("log")
    labels = [button.label for button in at.button]
    assert "Private" not in labels
    press(at, "Carrier *down*  ·  shared by local:ben")
    assert at.query_params == {"state": "failed", "range": "7d"}


# ── whose time ──────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("berlin")
def test_times_are_the_teams_and_a_switch_makes_them_utc_on_every_page(open_page: Open, by_hand18: BusByHand) -> None:
    message = by_hand18.add_history("departed", "2026-07-01T22:30:00Z", "S-1")
    at = open_page("message", id=str(message))
    assert "Emitted (Europe/Berlin)" in all_text(at)
    assert "2026-07-02 00:30:00" in all_text(at)
    at.segmented_control(key="clock.switch").set_value("UTC").run()
    assert "2026-07-01 22:30:00" in all_text(at)
    at.switch_page("pages/log.py")
    at.query_params.clear()
    at.query_params["range"] = "all"
    at.run()
    assert "Times in UTC" in all_text(at)
    assert column_of(at, "Emitted (UTC)") == ["2026-07-01 22:30:00"]


@pytest.mark.usefixtures("berlin")
def test_a_time_is_typed_as_the_readers_clock_shows_it_and_stands_in_the_address_in_utc(
    open_page: Open, by_hand18: BusByHand
) -> None:
    by_hand18.add_history("departed", "2026-07-01T22:30:00Z", "S-1")
    at = open_page("log", **{"from": "2026-07-01T22:00:00Z", "to": "2026-07-02T22:00:00Z"})
    assert at.datetime_input(key="log.since").value == datetime(2026, 7, 2)  # noqa: DTZ001
    assert column_of(at, "Emitted (Europe/Berlin)") == ["2026-07-02 00:30:00"]
    at.datetime_input(key="log.since").set_value(datetime(2026, 7, 2, 0, 15)).run()  # noqa: DTZ001
    assert at.query_params["from"] == "2026-07-01T22:15:00Z"
    assert keys(at) == ["S-1"]


def test_without_a_zone_of_its_own_the_team_has_utc_and_no_switch(open_page: Open) -> None:
    at = open_page("log")
    assert "Times in UTC" in all_text(at)
    assert not [control for control in at.get("button_group") if getattr(control, "key", "") == "clock.switch"]


# ── in a browser ────────────────────────────────────────────────────────────────


def test_a_pasted_column_finds_its_rows_and_back_undoes_it(dashboard: Dashboard, page: Page) -> None:
    for number in range(3):
        dashboard.bus.emit("pasted", key=f"PASTE-{number}")
    page.goto(f"{dashboard.address}/log?name=pasted")
    expect(page.get_by_text("3 rows:")).to_be_visible()
    page.get_by_role("textbox", name="Find by id").focus()
    page.evaluate(
        """text => {
            const data = new DataTransfer(); data.setData('text/plain', text);
            document.activeElement.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}));
            document.execCommand('insertText', false, text);
        }""",
        "PASTE-0\nPASTE-2\nABSENT",
    )
    page.get_by_role("textbox", name="Find by id").press("Enter")
    expect(page.get_by_text("2 rows:")).to_be_visible()
    expect(page.get_by_role("button", name="find: 3 pasted values")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("3 rows:")).to_be_visible()


def test_a_filter_is_saved_as_a_view_once_and_opened_again(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.emit("viewed", key="VIEW-1")
    page.goto(f"{dashboard.address}/log?find=VIEW-1")
    page.get_by_role("button", name="Views").click()
    page.get_by_role("button", name="Save this filter").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("My shipment")
    dialog.get_by_text("Show it to everybody").click()
    dialog.get_by_role("button", name="Save", exact=True).click(click_count=4, delay=5)
    expect(page.get_by_text("Saved as My shipment.")).to_be_visible()
    assert dashboard.bus.run("SELECT count(*) FROM buslog.operations WHERE verb = 'save view'") == [(1,)]
    page.goto(f"{dashboard.address}/log")
    page.get_by_role("button", name="Views").click()
    page.get_by_role("button", name="My shipment").click()
    expect(page).to_have_url(re.compile("find=VIEW-1"))
    expect(page.get_by_text("1 row:")).to_be_visible()


def test_new_rows_are_offered_by_themselves_and_nothing_of_the_log_is_cut_off(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.emit("offered", json.dumps({"a": 1}), key="OFFER-1")
    page.goto(f"{dashboard.address}/log?name=offered")
    expect(page.get_by_text("1 row:")).to_be_visible()
    dashboard.bus.emit("offered", key="OFFER-2")
    offer = page.get_by_role("button", name="1 new: show")
    expect(offer).to_be_visible()  # within ten seconds
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    offer.click()
    expect(page.get_by_text("2 rows:")).to_be_visible()
