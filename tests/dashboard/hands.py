"""What hands do in a browser, so done that neither a slow machine nor Streamlit's redrawing matters; and what they do
that nobody gave a button to.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.dashboard.conftest import SEE_SECONDS

ROW = 34  # pixels; tables.ROW_HEIGHT
SEEN = 3  # pixels, of a bar
TICK, OPEN = 17, 32  # where in a row its box is, or the button that opens it
HEARD = 5000  # milliseconds: a click that nothing followed by then was made before the grid listened
LISTEN_IN = """
  const sockets = [];
  const Original = window.WebSocket;
  window.WebSocket = class extends Original { constructor(...all) { super(...all); sockets.push(this); } };
  window.forge = (bytes) => sockets.at(-1).send(new Uint8Array(bytes));
"""


def settled(page: Page) -> None:
    """Waits until nothing is being drawn: meanwhile an old element stands beside the new one that takes its place."""
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
    expect(page.locator("[data-stale=true]")).to_have_count(0)


def click_row(grid: Locator, row: int, *, x: int, until: Locator) -> None:
    """Clicks a button of a row. The grid is a canvas: rows and columns are places in it."""

    def is_heard() -> bool:
        try:
            expect(until.first).to_be_visible(timeout=HEARD)
        except AssertionError:
            return not grid.is_visible()  # it led away, and what is there is being drawn
        return True

    _click_until(grid, row, x, is_heard)
    expect(until.first).to_be_visible()


def tick_row(grid: Locator, row: int) -> None:
    """Selects a row: once, since a second click would take it back."""
    chosen = grid.locator(f"tr[aria-rowindex='{row + 2}'][aria-selected=true]")

    def is_heard() -> bool:
        try:
            expect(chosen).to_be_attached(timeout=HEARD)
        except AssertionError:
            return False
        return True

    _click_until(grid, row, TICK, is_heard)


def _click_until(grid: Locator, row: int, x: int, is_heard: Callable[[], bool]) -> None:
    grid.scroll_into_view_if_needed()  # its cells are made when it is seen
    expect(grid.locator("[role=gridcell]").first).to_be_attached()
    for _ in range(4):
        grid.click(position={"x": x, "y": ROW * (row + 1) + ROW // 2})
        if is_heard():
            return
    raise AssertionError("the grid took no click")


def click_bar(bars: Locator, until: re.Pattern[str]) -> None:
    """Clicks the first bar of a chart that has a height, until the address says so. A chart is a place on the page too,
    and what is drawn above it moves it.
    """
    page = bars.page
    expect(bars.first).to_be_attached()
    for _ in range(4):
        settled(page)
        boxes = [box for box in (bar.bounding_box() for bar in bars.all()) if box and box["height"] > SEEN]
        x, y = boxes[0]["x"] + boxes[0]["width"] / 2, boxes[0]["y"] + boxes[0]["height"] / 2
        page.mouse.move(x, y)
        page.mouse.click(x, y)
        try:
            expect(page).to_have_url(until, timeout=HEARD)
        except AssertionError:
            continue
        return
    expect(page).to_have_url(until)


def four_times(button: Locator) -> None:
    """Clicks as quickly as no person can: Streamlit runs the page for each of them."""
    button.evaluate("button => { for (let times = 0; times < 4; times++) button.click() }")


class Forger:
    """Reads what the server sends a page, and answers with clicks that nobody made, on the page's own websocket."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._told: list[ForwardMsg] = []
        page.add_init_script(LISTEN_IN)
        page.on("websocket", lambda opened: opened.on("framereceived", self._hear))

    def _hear(self, data: bytes | str) -> None:
        if isinstance(data, bytes):
            self._told.append(ForwardMsg.FromString(data))

    def button(self, label: str) -> Any:
        """The newest button of this label, as the server sent it."""
        return [e.button for e in self._elements() if e.WhichOneof("type") == "button" and e.button.label == label][-1]

    def click(self, *labels: str) -> None:
        """Sends clicks on the newest buttons of these labels, and waits until the server has carried them out."""
        forged = BackMsg()
        forged.rerun_script.query_string = self._page.url.partition("?")[2]
        forged.rerun_script.page_script_hash = self._all("navigation")[-1].page_script_hash
        for label in labels:
            state = forged.rerun_script.widget_states.widgets.add()
            state.id, state.trigger_value = self.button(label).id, True
        ended = len(self._all("script_finished"))
        self._page.evaluate("(bytes) => window.forge(bytes)", list(forged.SerializeToString()))
        give_up_at = time.monotonic() + SEE_SECONDS
        while len(self._all("script_finished")) == ended:
            assert time.monotonic() < give_up_at
            self._page.wait_for_timeout(50)

    def _all(self, kind: str) -> list[Any]:
        return [getattr(told, kind) for told in self._told if told.WhichOneof("type") == kind]

    def _elements(self) -> list[Any]:
        return [delta.new_element for delta in self._all("delta") if delta.WhichOneof("type") == "new_element"]
