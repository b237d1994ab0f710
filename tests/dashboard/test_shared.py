"""What screens that refresh by themselves share, and what they never do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from streamlit.testing.v1 import AppTest

from buslog.console import access, shared, words
from buslog.insights import Page
from buslog.masking import MASKED
from tests.dashboard.conftest import Dashboard
from tests.dashboard.reader import reader

if TYPE_CHECKING:
    from tests.conftest import BusByHand

SECRET = "anna@example.com"


def test_screens_that_refresh_share_what_one_of_them_read_and_whoever_clicks_reads_anew(dashboard: Dashboard) -> None:
    dashboard.bus.emit("departed", key="S-0")
    with reader(dashboard.address) as first, reader(dashboard.address) as second:
        first.open()
        dashboard.bus.emit("departed", key="S-1")
        first.tick()
        assert first.figures["Messages"] == "1", "a screen that refreshes itself read for itself"
        second.open()
        assert second.figures["Messages"] == "2", "a click was shown what another had read before it"
        dashboard.bus.emit("departed", key="S-2")
        first.tick()
        assert first.figures["Messages"] == "2"
        first.open()
        assert first.figures["Messages"] == "3"


def test_a_refresh_is_one_run_of_few_messages(dashboard: Dashboard) -> None:
    dashboard.bus.emit("departed", key="S-3")
    with reader(dashboard.address) as one:
        one.open()
        kinds = [message.WhichOneof("type") for message in one.messages]
        assert kinds.count("new_session") == 1, "a click ran the script more than once"
        assert len(one.messages) < 80
        one.tick()
        kinds = [message.WhichOneof("type") for message in one.messages]
        assert kinds.count("new_session") == 1
        assert len(one.messages) < 55


def test_the_list_of_the_log_goes_to_the_browser_before_its_rows_are_counted(dashboard: Dashboard) -> None:
    dashboard.bus.emit("departed", key="S-4")
    with reader(dashboard.address) as one:
        one.open("log")
        elements = [message.delta.new_element for message in one.messages if message.HasField("delta")]
        said = {element.html.body: place for place, element in enumerate(elements) if element.HasField("html")}
        (shown,) = [place for body, place in said.items() if "S-4" in body]
        (counted,) = [place for body, place in said.items() if re.search(r"\d rows?: \d", body)]
        assert any(words.ROWS_BEING_COUNTED in body and place < shown for body, place in said.items())
        assert shown < counted


@pytest.fixture
def failed(by_hand18: BusByHand, monkeypatch: pytest.MonkeyPatch) -> str:
    """A message whose failure tells what is masked; gives its id."""
    by_hand18.subscribe("mail", "departed")
    message = by_hand18.emit("departed", f'{{"customer": {{"email": "{SECRET}"}}}}')
    by_hand18.work(mail="failed")
    by_hand18.run("UPDATE buslog.ended_deliveries SET error = %s", f"no mailbox of {SECRET}")
    by_hand18.run("UPDATE buslog.settings SET mask_fields = '{*.email}'")
    monkeypatch.setattr(access, "_dsn", by_hand18.dsn)
    return str(message)


def a_screen() -> None:
    """What the script of the tests below does: reads the failed rows, as a page does when its timer asks for it."""
    import streamlit as st
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    from buslog.console import shared
    from buslog.filter import Filter
    from buslog.insights import Insights

    context = get_script_run_ctx()
    assert context is not None
    context.fragment_ids_this_run = ["the timer's"]
    st.text(shared.read(Insights.page, Filter()).value.rows[0].last_error or "")


def test_what_was_unmasked_in_one_session_no_other_is_shown(failed: str) -> None:
    from uuid import UUID

    unmasked: Any = AppTest.from_function(a_screen)
    unmasked.session_state["access.unmasked"] = frozenset({(access._local().name, UUID(failed))})
    assert SECRET in unmasked.run().text[0].value
    other = AppTest.from_function(a_screen).run()
    assert SECRET not in other.text[0].value
    assert MASKED in other.text[0].value
    assert SECRET in unmasked.run().text[0].value, "the masked read of another was shown to who may see"
    access.close()


def test_a_new_mask_is_another_read(failed: str, by_hand18: BusByHand, monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand18.run("UPDATE buslog.settings SET mask_fields = '{}'")
    monkeypatch.setattr(shared, "MASK_KEPT", 0.0)
    monkeypatch.setattr("buslog.insights.curtain.KEPT", 0.0)
    screen = AppTest.from_function(a_screen)
    assert SECRET in screen.run().text[0].value
    by_hand18.run("UPDATE buslog.settings SET mask_fields = '{*.email}'")
    assert SECRET not in screen.run().text[0].value
    access.close()


def an_impatient_screen() -> None:
    import streamlit as st
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    from buslog.console import shared
    from buslog.errors import DatabaseUnavailable
    from buslog.insights import Insights

    def too_slow(_: Insights) -> None:
        asked.append(1)
        raise DatabaseUnavailable(field="database", rule="answers within 2 s")

    context = get_script_run_ctx()
    assert context is not None
    context.fragment_ids_this_run = ["the timer's"]
    asked: list[int] = []
    try:
        shared.read(too_slow)
    except DatabaseUnavailable as error:
        st.text(f"{error.field} {len(asked)}")


def test_a_database_that_is_too_slow_for_one_screen_is_not_asked_by_the_next(failed: str) -> None:
    told = [AppTest.from_function(an_impatient_screen).run().text[0].value for _ in range(2)]
    assert told == ["database 1", "database 0"]
    access.close()


MADE: list[int] = []


def make(rows: Page) -> int:
    MADE.append(len(rows.rows))
    return len(MADE)


def a_screen_that_draws() -> None:
    import streamlit as st
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    from buslog.console import shared
    from buslog.filter import Filter
    from buslog.insights import Insights
    from tests.dashboard.test_shared import make

    context = get_script_run_ctx()
    assert context is not None
    context.fragment_ids_this_run = ["the timer's"] if "clicks" not in st.session_state else []
    st.text(str(shared.read(Insights.page, Filter()).once(make)))


def test_what_is_drawn_of_a_shared_read_is_drawn_by_the_first_screen_for_all(failed: str) -> None:
    MADE.clear()
    screens = [AppTest.from_function(a_screen_that_draws) for _ in range(3)]
    screens[2].session_state["clicks"] = True
    assert [screen.run().text[0].value for screen in screens] == ["1", "1", "2"]
    assert screens[0].run().text[0].value == "2", "what a click has read is not what others are shown"
    access.close()
