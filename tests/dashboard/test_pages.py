"""Every page through app.py: with nothing, with little, with a database that is down, with nonsense in the URL."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from buslog import db
from buslog.console import frame
from buslog.insights import Insights
from buslog.message import State
from tests.dashboard.conftest import Open, all_text, column_of, texts_of

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

    from tests.conftest import BusByHand

PAGES = ("overview", "failures", "log", "commands")
EVIL = "![x](http://evil.example/x.png) <img src=http://evil.example/y.png> **bold** :red[r] $x$"
SCHEMA = json.dumps(
    {
        "type": "object",
        "required": ["shipmentId"],
        "properties": {
            "shipmentId": {"type": "string", "minLength": 3},
            "newest": {"type": "integer", "default": 20, "maximum": 100},
        },
    }
)


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("overview", "Nothing was emitted yet."),
        ("failures", "Nothing was emitted yet."),
        ("log", "Nothing was emitted yet."),
        ("commands", "No command is registered yet."),
    ],
)
def test_a_page_without_data_says_so_and_what_to_do(open_page: Open, page: str, says: str) -> None:
    at = open_page(page)
    assert not at.exception
    assert says in all_text(at)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_there_is(open_page: Open, by_hand18: BusByHand, page: str) -> None:
    by_hand18.subscribe("mail.notify", "shipmentDeparted")
    by_hand18.subscribe("tracking.resync", "resyncTracking", kind="command", schema=SCHEMA)
    by_hand18.emit("shipmentDeparted", key="S-42")
    by_hand18.work(**{"mail.notify": "failed"})
    at = open_page(page)
    assert not at.exception
    text = all_text(at)
    if page == "overview":
        assert "Messages 1" in text
        assert "Failures 1" in text
    elif page == "commands":
        assert "resyncTracking" in text
    elif page == "failures":
        assert "CarrierTimeout" in text
        assert "mail.notify" in text
    else:
        assert column_of(at, "shipmentId") == ["S-42"]
        assert column_of(at, "Subscriber") == ["mail.notify"]


@pytest.mark.parametrize("page", [*PAGES, "message"])
def test_a_database_that_is_down_is_named_without_traceback_or_password(open_page_of_nothing: Open, page: str) -> None:
    params = {"id": "019a3c5e-7f10-7abc-8def-0123456789ab"} if page == "message" else {}
    at = open_page_of_nothing(page, **params)
    assert not at.exception
    text = all_text(at)
    assert "The database did not answer" in text
    assert "127.0.0.1:1" in text
    assert "s3cret" not in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("page", "params"),
    [
        ("log", {"page": "-1"}),
        ("log", {"from": "294277-01-01"}),
        ("log", {"state": "fialed"}),
        ("log", {"key": "k" * 201}),
        ("log", {"older": "019a"}),
        ("log", {"older": "-1"}),
        ("log", {"sort": "id;drop"}),
        ("log", {"range": "24h", "from": "2026-01-01"}),
        ("failures", {"range": "1y"}),
        ("failures", {"newer": "%00"}),
        ("overview", {"range": "x" * 1000}),
        ("message", {}),
        ("message", {"id": "42"}),
        ("message", {"id": "019a3c5e-7f10-7abc-8def-0123456789ab"}),
        ("commands", {"command": "nope"}),
    ],
)
def test_nonsense_in_the_address_is_answered_in_words(open_page: Open, page: str, params: dict[str, str]) -> None:
    at = open_page(page, **params)
    assert not at.exception
    text = all_text(at)
    assert any(title in text for title in ("cannot be looked for", "There is no such", "cannot be done"))
    assert "our fault" not in text


def test_the_filters_of_a_nonsense_address_can_still_be_edited(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.emit("shipmentDeparted", key="S-42")
    at = open_page("log", state="fialed")
    at.text_input(key="log.find").set_value("S-42").run()
    assert at.query_params == {"find": "S-42"}
    assert column_of(at, "shipmentId") == ["S-42"]


def test_an_unexpected_fault_shows_a_reference_and_logs_the_rest(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Insights) -> None:
        raise RuntimeError("payload: top secret")

    monkeypatch.setattr(Insights, "commands", broken)
    at = open_page("commands")
    text = all_text(at)
    assert "our fault" in text
    assert "top secret" not in text
    reference = text.split("Reference ")[1].split(":")[0]
    assert reference in caplog.text
    assert "RuntimeError" in caplog.text


# ── filters ─────────────────────────────────────────────────────────────────────


def test_the_address_is_the_filter_and_the_filter_is_the_address(open_page: Open, by_hand18: BusByHand) -> None:
    for number in range(3):
        by_hand18.emit("shipmentDeparted", key=f"S-{number}")
    at = open_page("log", find="S-1")
    assert at.text_input(key="log.find").value == "S-1"
    assert column_of(at, "shipmentId") == ["S-1"]
    at.text_input(key="log.find").set_value("").run()
    assert at.query_params == {}
    assert len(column_of(at, "shipmentId")) == 3
    at.multiselect(key="log.states").set_value([State.FAILED]).run()
    assert at.query_params == {"state": "failed"}
    assert "No message matches this filter." in all_text(at)


def test_an_impossible_time_is_refused_and_the_list_stays(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.add_history("T02 Check", "2011-05-05T10:00:00Z")
    at = open_page("log", **{"from": "2011-01-01", "to": "2012-01-01"})
    assert len(column_of(at, "shipmentId")) == 1
    at.text_input(key="log.find").set_value("a\x00b").run()
    assert "printable" in all_text(at)


def test_an_empty_log_says_how_many_older_there_are_and_shows_them(open_page: Open, by_hand18: BusByHand) -> None:
    for day in range(1, 4):
        by_hand18.add_history("T02 Check", f"2011-05-0{day}T10:00:00Z", key="case-1")
    at = open_page("log")
    (show_all,) = [button for button in at.button if "show all" in button.label]
    assert show_all.label == "3 older: show all"
    show_all.click().run()
    assert at.query_params == {"range": "all"}
    assert len(column_of(at, "shipmentId")) == 3


def test_pages_of_fifty_lead_to_the_last_row(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.run("SELECT buslog.emit('many', jsonb_build_object('n', n)) FROM generate_series(1, 120) AS n")
    at = open_page("log")
    seen = [len(column_of(at, "shipmentId"))]
    while not (older := next(button for button in at.button if button.label == "Older")).disabled:
        older.click().run()
        seen.append(len(column_of(at, "shipmentId")))
    assert seen == [50, 50, 20]


def test_the_log_tells_what_its_rows_are_of_and_draws_them_when_asked(open_page: Open, by_hand18: BusByHand) -> None:
    for day in range(1, 4):
        by_hand18.add_history(f"T0{day % 2} Check", f"2011-05-0{day}T10:00:00Z", key=f"case-{day}")
    at = open_page("log", range="all")
    assert "3 rows: 3 messages, 2 names, 3 keys." in all_text(at)
    assert not at.get("plotly_chart")
    at.session_state["log.over_time"] = True
    at.run()
    assert not at.exception
    assert len(at.get("plotly_chart")) == 1


def test_the_log_comes_back_by_the_menu_as_it_was_left(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.emit("shipmentDeparted", key="S-42")
    at = open_page("log", find="S-42")
    at.query_params.clear()
    at.switch_page("pages/overview.py").run()
    at.query_params.clear()
    at.switch_page("pages/log.py").run()
    assert at.query_params == {"find": "S-42"}
    assert at.text_input(key="log.find").value == "S-42"


# ── one message ─────────────────────────────────────────────────────────────────


def test_a_message_tells_what_became_of_it_without_a_traceback(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail.notify", "shipmentDeparted")
    root = by_hand18.emit("shipmentDeparted", '{"shipmentId": "S-42", "big": 12345678901234567890123}')
    by_hand18.emit("taskCreated", caused_by=root)
    by_hand18.work(**{"mail.notify": "failed"})
    text = all_text(open_page("message", id=str(root)))
    for told in ("shipmentDeparted", "S-42", "mail.notify", "CarrierTimeout", "no answer within 5 s",
                 "carrier.py:12 in ask", "12345678901234567890123", "taskCreated"):  # fmt: skip
        assert told in text
    assert "Traceback (secret)" not in text


def test_a_failed_delivery_is_replayed_once_however_often_it_is_clicked(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail.notify", "shipmentDeparted")
    message = by_hand18.emit("shipmentDeparted")
    by_hand18.work(**{"mail.notify": "failed"})
    at = open_page("message", id=str(message))
    replay = next(button for button in at.button if button.label == "Replay")
    replay.click().run()
    assert by_hand18.run("SELECT state::text, generation FROM buslog.deliveries") == [("pending", 2)]
    assert "pending" in all_text(at) or any("pending" in str(badge.value) for badge in at.markdown)
    by_hand18.work()
    # The second click comes from the page as it was, with the field of its cancel.
    at.session_state[f"reason-cancel-{message}-mail.notify-1-failed"] = ""
    replay.click().run()
    assert by_hand18.run("SELECT count(*) FROM buslog.operations WHERE verb = 'replay'") == [(1,)]
    assert not at.exception


def test_a_failed_delivery_is_cancelled_only_with_a_reason(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail.notify", "shipmentDeparted")
    message = by_hand18.emit("shipmentDeparted")
    by_hand18.work(**{"mail.notify": "failed"})
    at = open_page("message", id=str(message))
    assert "It leaves Failures and stays in the Log, as cancelled." in all_text(at)
    next(button for button in at.button if button.label == "Cancel it").click().run()
    assert "is required: say why" in all_text(at)
    assert by_hand18.run("SELECT DISTINCT state FROM buslog.log") == [("failed",)]
    next(field for field in at.text_input if field.label == "Reason").set_value("the customer has left")
    next(button for button in at.button if button.label == "Cancel it").click().run()
    assert by_hand18.run("SELECT DISTINCT state FROM buslog.log") == [("cancelled",)]
    assert by_hand18.run("SELECT verb, reason FROM buslog.operations WHERE verb <> 'log in'") == [
        ("cancel", "the customer has left")
    ]


@pytest.mark.parametrize(("page", "times"), [("overview", 1), ("log", 1)])
def test_who_is_on_duty_stands_once_on_a_page(open_page: Open, by_hand18: BusByHand, page: str, times: int) -> None:
    by_hand18.emit("shipmentDeparted")
    at = open_page(page)
    assert all_text(at).count("Nobody is on duty") == times
    assert [button.label for button in at.button].count("Duty") == times


EACH: list[tuple[str, dict[str, str]]] = [
    *((page, {}) for page in ("overview", *frame.PATHS)), ("key", {"key": "S-1"}), ("commands", {"command": "x"}),
    ("subscribers", {"subscription": "x"}), ("replays", {"run": "1"}), ("audit", {"operation": "1"}),
    ("failures", {"group": "0123456789abcdef"}), ("message", {"id": "019a3c5e-7f10-7abc-8def-0123456789ab"}),
]  # fmt: skip


def is_framed(at: AppTest) -> bool:
    """Whether it has one title, and the footer."""
    headings = [text for text in texts_of(at, "html") if "<h1" in text]
    return bool(texts_of(at, "title") or headings) and all_text(at).count("acting as") == 1 and not at.exception


@pytest.mark.parametrize(("page", "params"), EACH)
def test_a_database_that_is_away_is_said_once_within_a_page_s_title_and_footer(
    open_page_of_nothing: Open, page: str, params: dict[str, str]
) -> None:
    at = open_page_of_nothing(page, **params)
    assert is_framed(at)
    assert all_text(at).count(":material/error:") == 1
    assert all_text(at).count("The database did not answer") == (page != "message" or bool(params))


@pytest.mark.parametrize(
    ("page", "params"),
    [("log", {"from": "x"}), ("failures", {"from": "x"}), ("audit", {"from": "x"}), ("replays", {"run": "x"}),
     ("alerts", {"before": "x"}), ("key", {"key": "S", "after": "x"}), ("message", {"id": "x"}),
     ("commands", {"command": "x"})],
)  # fmt: skip
def test_what_cannot_be_read_is_said_once_within_a_page_s_title_and_footer(
    open_page: Open, page: str, params: dict[str, str]
) -> None:
    at = open_page(page, **params)
    assert is_framed(at)
    assert all_text(at).count(":material/error:") == 1


def test_what_took_too_long_does_not_say_that_the_database_is_away(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.emit("shipmentDeparted")
    with db.connect(by_hand18.dsn) as holding, holding.transaction():
        holding.execute("LOCK TABLE buslog.messages IN ACCESS EXCLUSIVE MODE")
        text = all_text(open_page("log"))
    assert "This took too long to find out" in text
    assert "did not answer" not in text


def test_an_overview_without_failures_tells_the_filter_from_the_time(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.emit("shipmentDeparted")
    text = all_text(open_page("overview", name="nothing"))
    assert "No failure matches this filter." in text
    assert "0 older" not in text
    assert "Clear the filter" in text
    assert "No failures in the last 24 hours. Nice work." in all_text(open_page("overview"))
    assert "No failures. Nice work." in all_text(open_page("overview", range="all"))


def test_a_button_that_the_state_forbids_says_why(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail.notify", "shipmentDeparted")
    message = by_hand18.emit("shipmentDeparted")
    at = open_page("message", id=str(message))
    buttons = {button.label: button for button in at.button}
    assert buttons["Replay"].disabled
    assert "can be replayed when it has ended" in (buttons["Replay"].help or "")
    assert buttons["Run now"].disabled
    assert not buttons["Cancel"].disabled
    assert "No live worker hosts this subscriber" in all_text(at)


def test_names_keys_and_errors_are_never_read_as_markup(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe(EVIL, EVIL)
    by_hand18.subscribe("run.evil", EVIL + "!", kind="command", description=EVIL, schema=SCHEMA)
    message = by_hand18.emit(EVIL, json.dumps({"text": EVIL}), key=EVIL)
    by_hand18.work(**{EVIL: "failed"})
    by_hand18.run("UPDATE buslog.ended_deliveries SET error = %s, error_type = %s", EVIL, EVIL)
    for page, params in (
        ("overview", {}), ("log", {"error": EVIL}), ("failures", {}), ("commands", {}),
        ("commands", {"command": EVIL + "!"}), ("message", {"id": str(message)}),
    ):  # fmt: skip
        at = open_page(page, **params)
        assert not at.exception
        read_as_markup = texts_of(at, "markdown", "subheader", "title") + [button.label for button in at.button]
        unescaped = [re.sub(r"\\.", "", text) for text in read_as_markup]
        assert not [text for text in unescaped if "[x](" in text or "<img" in text or "**bold" in text]
        assert not [text for text in texts_of(at, "html") if "<img" in text]


# ── commands ────────────────────────────────────────────────────────────────────


def test_a_command_form_refuses_by_field_and_then_runs(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("tracking.resync", "resyncTracking", kind="command", schema=SCHEMA, description="Ask again.")
    at = open_page("commands", command="resyncTracking")
    run = next(button for button in at.button if button.label.startswith("Run"))
    run.click().run()
    assert "is required" in all_text(at)
    at.text_input(key="resyncTracking.shipmentId").set_value("S")
    next(button for button in at.button if button.label.startswith("Run")).click().run()
    assert "has at least 3 characters" in all_text(at)
    assert by_hand18.run("SELECT count(*) FROM buslog.messages") == [(0,)]
    at.text_input(key="resyncTracking.shipmentId").set_value("S-42")
    next(button for button in at.button if button.label.startswith("Run")).click().run()
    assert not at.exception
    assert by_hand18.run("SELECT name, key, source, payload FROM buslog.messages") == [
        ("resyncTracking", "S-42", "dashboard", {"shipmentId": "S-42", "newest": 20})
    ]
    assert by_hand18.run("SELECT verb FROM buslog.operations WHERE verb <> 'log in'") == [("run",)]
    by_hand18.work()
    at.run()
    assert '"updated": 3' in all_text(at)


def test_a_command_without_a_schema_takes_a_json_object(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("any.thing", "rebuild", kind="command")
    at = open_page("commands", command="rebuild")
    for typed, told in (("{", "is not JSON"), ("[1]", "is a JSON object"), ('{"a": NaN}', "finite")):
        at.text_area(key="rebuild.json").set_value(typed)
        next(button for button in at.button if button.label.startswith("Run")).click().run()
        assert told in all_text(at)
    at.text_area(key="rebuild.json").set_value('{"a": 1}')
    next(button for button in at.button if button.label.startswith("Run")).click().run()
    assert by_hand18.run("SELECT payload FROM buslog.messages") == [({"a": 1},)]
