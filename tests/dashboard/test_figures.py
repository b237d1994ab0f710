"""The Overview and the Subscribers page, by AppTest: what they say, and where their numbers lead."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import plotly.io
from streamlit.testing.v1 import AppTest

from buslog.console import charts, sparkline
from buslog.insights import Point, Release, Series
from tests.dashboard.conftest import Open, all_text, list_of

if TYPE_CHECKING:
    from tests.conftest import BusByHand

NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)


def numbers_of(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def chart_of(at: AppTest) -> dict[str, Any]:
    (chart,) = at.get("plotly_chart")
    spec: dict[str, Any] = json.loads(chart.proto.spec)
    return spec


# ── the overview ────────────────────────────────────────────────────────────────


def test_the_filter_of_the_overview_applies_to_its_numbers(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail", "departed")
    by_hand18.subscribe("tracking", "arrived")
    for _ in range(3):
        by_hand18.emit("departed")
    by_hand18.emit("arrived")
    by_hand18.work(mail="failed")
    by_hand18.emit("arrived")
    at = open_page()
    assert not at.exception
    assert numbers_of(at) == {
        "Messages": "5", "Errors": "3", "Failures": "3", "Failure rate": "75.0 %", "Unfinished now": "1",
        "Duration": "–", "Commands running": "0", "Live workers": "1",
    } | {"Duration": numbers_of(at)["Duration"]}  # fmt: skip
    at.multiselect(key="overview.names").set_value(["arrived"]).run()
    assert at.query_params == {"name": "arrived"}
    shown = numbers_of(at)
    assert (shown["Messages"], shown["Failures"], shown["Failure rate"]) == ("2", "0", "0.0 %")
    at.multiselect(key="overview.names").set_value([]).run()
    at.selectbox(key="overview.subscription").set_value("mail").run()
    shown = numbers_of(at)
    assert (shown["Messages"], shown["Failures"], shown["Unfinished now"]) == ("3", "3", "0")


def test_an_overview_without_failures_says_that_all_is_well(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail", "departed")
    by_hand18.emit("departed")
    by_hand18.work()
    at = open_page()
    assert "No failures in the last 24 hours. Nice work." in all_text(at)
    assert "host:1" in [row["Worker"] for row in list_of(at, "Worker")]


def test_a_time_without_messages_says_what_lies_outside(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail", "departed")
    by_hand18.add_history("departed", "2025-05-05T10:00:00Z")
    at = open_page()
    assert "Nothing was emitted in this time." in all_text(at)
    assert "1 older" in all_text(at)


def test_what_is_new_since_the_last_visit_is_said_and_leads_to_it(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail", "departed")
    by_hand18.emit("departed")
    by_hand18.work(mail="failed")
    assert "since you last looked" not in all_text(open_page()).lower()
    by_hand18.run("UPDATE buslog.visits SET seen_at = seen_at - interval '3 hours'")
    at = open_page()
    (link,) = [link for link in at.get("page_link") if "Since you last looked" in link.proto.label]
    assert "1 new failure" in link.proto.label
    assert "ended=" in link.proto.query_string
    by_hand18.run("UPDATE buslog.ended_deliveries SET finished_at = finished_at - interval '1 day'")
    assert "No new failure since you last looked" in all_text(open_page())


# ── the chart ───────────────────────────────────────────────────────────────────


def a_series(*counts: int, length: timedelta = MINUTE, **more: Any) -> Series:
    first = datetime.now(UTC) - length * (len(counts) - 1)
    points = [Point(first + length * place, count, count, count) for place, count in enumerate(counts)]
    return Series(length, points, **more)


def test_a_bar_that_is_not_over_or_is_cut_is_pale_and_says_so() -> None:
    series = a_series(1, 2, 3, since=datetime.now(UTC) - MINUTE * 2 + timedelta(seconds=20))
    bars = charts.activity(series).data[0]
    assert list(bars.marker.opacity) == [charts.PARTIAL, 1.0, charts.PARTIAL]
    assert [one[3] for one in bars.customdata] == [" of a part", "", " so far"]
    assert series.since
    assert bars.customdata[0][0] == series.since.isoformat(), "its list begins there too"


def test_a_release_is_a_line_with_its_label_shown_literally() -> None:
    now = datetime.now(UTC)
    releases = [Release("<b>2026.2</b>", now - MINUTE), Release("old", now - timedelta(days=9))]
    layout = charts.activity(a_series(1, 2, 3), releases).layout
    assert len(layout.shapes) == 1, "one lies outside"
    assert [note.text for note in layout.annotations] == ["&lt;b&gt;2026.2&lt;/b&gt;"]


def test_what_streamlit_would_set_on_a_chart_is_set_already() -> None:
    """Where it is not, Streamlit sets it afterwards, and all bars are drawn once more."""
    layout = charts.activity(a_series(1, 2, 3)).layout
    assert (layout.clickmode, layout.dragmode) == ("event+select", "pan")
    assert layout.margin.autoexpand is False
    axes = [layout[f"{axis}axis{number}"] for axis in "xy" for number in ("", 2, 3)]
    assert all(axis.fixedrange for axis in axes), "a drag moves the chart"


def test_a_chart_is_told_as_plotly_tells_it_and_put_into_words_once() -> None:
    """Streamlit asks a figure what it is each time that it is shown: Plotly's own copies all, and looks through it."""
    drawn = charts.activity(a_series(1, 2, 3))
    plotly_s = go.Figure(drawn.data, drawn.layout)
    assert json.loads(plotly.io.to_json(drawn, validate=False)) == json.loads(plotly.io.to_json(plotly_s))
    assert drawn.to_dict() is drawn.to_dict()


def test_small_bars_are_one_image_whose_largest_is_as_high_as_there_is_room() -> None:
    drawn = sparkline.svg([0, 5, 10], "#123456")
    assert f"M1.5 {sparkline.HEIGHT / 2:.1f}V{sparkline.HEIGHT}" in drawn
    assert f"M2.5 0.0V{sparkline.HEIGHT}" in drawn
    assert "M0.5" not in drawn, "what is nought is not drawn"
    assert drawn.count("<path") == 1


def test_the_bar_that_is_clicked_says_its_time_and_what_it_counts() -> None:
    bar = {"customdata": [NOW.isoformat(), (NOW + MINUTE).isoformat(), "errors", ""], "y": 3}
    assert charts.picked({"selection": {"points": [bar]}}) == charts.Picked(NOW, NOW + MINUTE, "errors")
    assert charts.picked({"selection": {"points": []}}) is None


def test_a_chart_of_states_leaves_errors_out_and_says_so(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail", "departed")
    by_hand18.emit("departed")
    by_hand18.work(mail="failed")
    at = open_page("log", state="failed")
    at.session_state["log.over_time"] = True
    at.run()
    assert [trace["name"] for trace in chart_of(at)["data"]] == ["Deliveries", "Failures"]
    assert "Errors are left out" in all_text(at)


# ── subscribers ─────────────────────────────────────────────────────────────────


def test_subscribers_are_listed_with_the_worst_first(open_page: Open, by_hand18: BusByHand) -> None:
    for name in ("a.well", "b.failing", "c.paused"):
        by_hand18.subscribe(name, name)
    for name in ("a.well", "b.failing", "c.paused"):
        by_hand18.emit(name)
    by_hand18.work(**{"b.failing": "failed"})
    by_hand18.run("UPDATE buslog.subscriptions SET paused_at = now() WHERE subscription = 'c.paused'")
    by_hand18.subscribe("d.nobody", "d.nobody")
    by_hand18.run("UPDATE buslog.workers SET hosts = hosts[1:3]")
    by_hand18.emit("d.nobody")
    at = open_page("subscribers")
    told = [(row["Subscriber"], row["Now"], row["Fail rate"]) for row in list_of(at, "Fail rate")]
    assert told == [
        ("d.nobody", "✕ stuck", "–"), ("c.paused", "‖ paused", "0.0 %"),
        ("b.failing", "✕ failures", "100.0 %"), ("a.well", "✓ well", "0.0 %"),
    ]  # fmt: skip


def test_a_subscriber_says_in_words_what_is_wrong_and_what_it_may_do(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail", "departed")
    by_hand18.emit("departed")
    by_hand18.run("UPDATE buslog.subscriptions SET mode = 'sync', unsafe_to_replay = 'it sends mails', concurrency = 2")
    at = open_page("subscribers", subscription="mail")
    text = all_text(at)
    assert "No live worker hosts it." in text
    assert "1 delivery waits until one does." in text
    assert "each emit of departed is held up for BUSLOG_SYNC_WAIT" in text
    assert "at most 2, over all workers" in text
    assert "unsafe: it sends mails" in text
    assert "3 attempts, the second after 5 s, then ×3 up to 1 h" in text
    assert not at.button(key="holding.unregister").disabled


def test_a_subscriber_that_does_not_exist_is_answered_with_did_you_mean(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail", "departed")
    text = all_text(open_page("subscribers", subscription="mial"))
    assert "There is no such thing" in text
    assert "mail" in text


def test_no_subscriber_yet(open_page: Open) -> None:
    assert "No subscriber is registered yet." in all_text(open_page("subscribers"))


def test_pause_asks_for_a_reason_and_acts_once(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail", "departed")
    by_hand18.start_worker()
    at = open_page("subscribers", subscription="mail")
    assert at.button(key="holding.unregister").disabled
    at.button(key="holding.pause").click().run()
    assert "Nobody claims its deliveries until it is resumed." in all_text(at)
    (reason,) = [one for one in at.text_input if one.label == "Reason"]
    reason.set_value("mail server moves")
    at.button(key="holding.confirm").click().run()
    at = open_page("subscribers", subscription="mail")
    assert "mail server moves" in all_text(at)
    at.button(key="holding.resume").click().run()
    done = by_hand18.run("SELECT verb, reason FROM buslog.operations WHERE verb <> 'log in' ORDER BY id")
    assert done == [("pause", "mail server moves"), ("resume", None)]
