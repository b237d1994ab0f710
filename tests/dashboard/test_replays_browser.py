"""Bulk replays in real browsers: quick clicks, two people at once, a page that watches, a dashboard that is killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from buslog.console import words
from tests.dashboard.conftest import Dashboard, dashboard_process
from tests.dashboard.hands import settled

if TYPE_CHECKING:
    from tests.conftest import BusByHand

WORKER = """
from pathlib import Path
from buslog import Bus, Fail, Message, RetryPolicy

bus = Bus()


@bus.on("departed", id="mail", retry=RetryPolicy(max_attempts=1))
async def mail(message: Message) -> None:
    if not Path("up").exists():
        raise Fail("the carrier is down")
"""


def fail(bus: BusByHand, name: str, number: int) -> None:
    bus.subscribe(f"mail.{name}", name)
    bus.run("SELECT buslog.emit(%s, '{}', %s) FROM generate_series(1, %s)", name, name, number)
    bus.work(**{f"mail.{name}": "failed"})


def dialog_of_all(page: Page, address: str, key: str, number: int) -> Locator:
    """Opens Failures of a key, folds out what can be done to all of it, and presses replay."""
    page.goto(f"{address}/failures?show=deliveries&key={key}")
    expect(page.get_by_text("All that match this filter")).to_be_visible()
    settled(page)
    page.get_by_text("All that match this filter").click()
    page.get_by_role("button", name=f"Replay all {number} that failed").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name=f"Replay {number} deliveries")).to_be_visible()
    return dialog


def carry_on(bus: BusByHand, steps: int = 1) -> None:
    """Steps of every run that has not ended: one of an earlier test may be among them."""
    for _ in range(steps):
        due = bus.run("UPDATE buslog.replays SET next_at = clock_timestamp() WHERE next_at IS NOT NULL RETURNING id")
        bus.run("SELECT buslog.carry_on(1000) FROM generate_series(1, %s)", len(due))


def runs_of(bus: BusByHand, key: str) -> int:
    return int(bus.run("SELECT count(*) FROM buslog.replays WHERE filter LIKE %s AND state <> 'previewed'",
                       f"%key={key}%")[0][0])  # fmt: skip


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    give_up_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)


def test_four_quick_clicks_start_one_run_and_its_page_counts_down_and_undoes_it(
    dashboard: Dashboard, page: Page
) -> None:
    fail(dashboard.bus, "clicked", 7)
    dialog = dialog_of_all(page, dashboard.address, "clicked", 7)
    dialog.get_by_role("button", name="Replay 7 deliveries").evaluate("b => { for (let i = 0; i < 4; i++) b.click() }")
    begins = page.get_by_text("It begins in").first
    expect(begins).to_be_visible()
    expect(page).to_have_url(re.compile("/replays\\?run="))
    assert runs_of(dashboard.bus, "clicked") == 1
    first = begins.inner_text()
    expect(begins).not_to_have_text(first)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone before anything was sent.")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Replays")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("7 failed")).to_be_visible()


def test_two_operators_who_press_at_the_same_moment_send_each_delivery_once(
    dashboard: Dashboard, page: Page, browser: Browser
) -> None:
    fail(dashboard.bus, "pressed", 30)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tabs = [page, context.new_page()]
    dialogs = [dialog_of_all(tab, dashboard.address, "pressed", 30) for tab in tabs]
    for dialog in dialogs:
        dialog.get_by_role("spinbutton", name="Try first").fill("0")
        dialog.get_by_role("spinbutton", name="Undo, seconds").fill("0")
    for dialog in dialogs:
        dialog.get_by_role("button", name="Replay 30 deliveries").evaluate("b => b.click()")
    for tab in tabs:
        expect(tab.get_by_role("heading", name="Replay · ")).to_be_visible()
    assert runs_of(dashboard.bus, "pressed") == 2
    carry_on(dashboard.bus, 4)
    (opened,) = dashboard.bus.run(
        "SELECT count(*) FROM buslog.deliveries d JOIN buslog.messages m ON m.id = d.message_id WHERE m.key = 'pressed'"
    )
    assert opened == (30,)
    dashboard.bus.work()
    carry_on(dashboard.bus, 4)
    told = sorted(
        dashboard.bus.run("SELECT succeeded, skipped FROM buslog.replays WHERE filter LIKE '%%key=pressed%%'")
    )
    assert told == [(0, 30), (30, 0)]
    (ended,) = dashboard.bus.run("SELECT max(generation) FROM buslog.ended_deliveries e JOIN buslog.messages m"
                                 " ON m.id = e.message_id WHERE m.key = 'pressed'")  # fmt: skip
    assert ended == (2,)
    expect(page.get_by_text(re.compile("30 of 30 settled|30 left out, none sent")).first).to_be_visible()
    context.close()


def test_a_page_stops_watching_while_a_question_is_open_and_goes_on_after_it(dashboard: Dashboard, page: Page) -> None:
    fail(dashboard.bus, "watched", 4)
    dialog = dialog_of_all(page, dashboard.address, "watched", 4)
    dialog.get_by_role("spinbutton", name="Try first").fill("1")
    dialog.get_by_role("button", name="Replay 4 deliveries").click()
    expect(page.get_by_text("It begins in")).to_be_visible()
    carry_on(dashboard.bus)
    expect(page.get_by_text(words.RUN_CANARY_WAITS.format(succeeded=0, open=1))).to_be_visible()
    page.get_by_role("button", name="Stop…").click()
    expect(page.get_by_role("dialog").get_by_text("What was sent already goes on.")).to_be_visible()
    dashboard.bus.work()
    carry_on(dashboard.bus, 2)
    page.wait_for_timeout(2500)
    expect(page.get_by_text(words.RUN_CANARY_WAITS.format(succeeded=0, open=1))).to_be_visible()
    page.get_by_role("button", name="Let it go on").click()
    expect(page.get_by_text("3 sent and not settled")).to_be_visible()
    dashboard.bus.work()
    carry_on(dashboard.bus, 2)
    expect(page.get_by_text("All of it is settled.")).to_be_visible()


@pytest.fixture
def worker(tmp_path: Path, dsn18: str) -> Iterator[Path]:
    """A worker process of a small application; gives its folder: the carrier is up once it holds a file `up`."""
    (tmp_path / "carrier_app.py").write_text(WORKER)
    process = subprocess.Popen(
        [sys.executable, "-m", "buslog", "worker", "carrier_app:bus"], cwd=tmp_path,
        env={**os.environ, "BUSLOG_DSN": dsn18, "BUSLOG_POLL": "0.1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    yield tmp_path
    process.kill()
    process.wait()


def test_a_dashboard_that_is_killed_in_the_midst_of_a_run_loses_nothing(
    by_hand18: BusByHand, worker: Path, page: Page
) -> None:
    number = 300
    until(lambda: by_hand18.run("SELECT count(*) FROM buslog.routes") == [(1,)])
    by_hand18.run("SELECT buslog.emit('departed', '{}', 'KILLED') FROM generate_series(1, %s)", number)
    until(lambda: by_hand18.run("SELECT count(*) FROM buslog.log WHERE state = 'failed'") == [(number,)])
    (worker / "up").touch()
    process, address = dashboard_process(by_hand18.dsn)
    try:
        dialog = dialog_of_all(page, address, "KILLED", number)
        dialog.get_by_role("spinbutton", name="At most a second").fill("100")
        dialog.get_by_role("spinbutton", name="Undo, seconds").fill("0")
        dialog.get_by_label(f"Type {number} to confirm").fill(str(number))
        dialog.get_by_role("button", name=f"Replay {number} deliveries").click()
        until(lambda: by_hand18.run("SELECT 1 FROM buslog.replays WHERE succeeded > 20") != [])
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (waiting,) = by_hand18.run("SELECT waiting FROM buslog.replays")
    assert waiting[0] > 0, "it was killed in the midst"
    until(lambda: by_hand18.run("SELECT state::text FROM buslog.replays") == [("ended",)])
    assert by_hand18.run("SELECT succeeded, failed_again, skipped FROM buslog.replays") == [(number, 0, 0)]
    generations = by_hand18.run("SELECT generation, count(*) FROM buslog.ended_deliveries GROUP BY 1 ORDER BY 1")
    assert generations == [(1, number), (2, number)], "each was sent once"
    page.goto("about:blank")
