"""In a real browser: each number and chart leads to its list; what is paused holds still."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from buslog.desk import Actor
from buslog.message import DeliveryRef
from buslog.operations import Operations
from tests.dashboard.conftest import Dashboard
from tests.dashboard.hands import click_bar, settled


@pytest.fixture(scope="module")
def filled(dashboard: Dashboard) -> Dashboard:
    """Of mail: 4 failed, 2 succeeded, one of them after an error. Of tracking: 3 wait. One command runs."""
    bus = dashboard.bus
    bus.subscribe("mail", "departed")
    bus.subscribe("resync", "resyncTracking", kind="command")
    first = bus.emit("departed", key="S-0")
    bus.emit("departed", key="S-1")
    bus.emit("departed", key="S-2")
    bus.emit("departed", key="S-3")
    bus.emit("departed", key="S-4")
    bus.work(mail="failed")
    Operations(bus.dsn, Actor("local:anna", "cli")).replay([DeliveryRef(first, "mail")])
    bus.emit("departed", key="S-5")
    bus.work()
    bus.subscribe("tracking", "arrived")
    for number in range(3):
        bus.emit("arrived", key=f"S-{number}")
    bus.emit("resyncTracking", key="S-1")
    bus.run("SELECT buslog.claim(%s, ARRAY[2], NULL, 1)", bus.start_worker())
    return dashboard


def card(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-overview-card-{key}")


@pytest.mark.parametrize(
    ("key", "number", "seen"),
    [
        ("messages", "10", ("Log", "10 rows")),
        ("errors", "5", ("Log", "5 rows")),
        ("failures", "4", ("Failures", "4 failed")),
        ("rate", "66.7 %", ("Log", "6 rows")),
        ("unfinished", "4", ("Log", "4 rows")),
        ("commands", "1", ("Log", "1 row:")),
        ("workers", "1", ("Log", "1 row:")),
    ],
)
def test_each_number_leads_to_the_list_behind_it(
    filled: Dashboard, page: Page, key: str, number: str, seen: tuple[str, str]
) -> None:
    page.goto(f"{filled.address}/?range=1h")
    expect(card(page, key).get_by_test_id("stMetricValue")).to_have_text(number)
    settled(page)
    card(page, key).get_by_test_id("stPageLink-NavLink").first.click()
    heading, told = seen
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(page.get_by_test_id("stMain")).to_contain_text(re.compile(told.replace(" ", r"\s*")))


def test_duration_leads_to_the_subscribers_of_the_same_time_and_back_to_the_overview(
    filled: Dashboard, page: Page
) -> None:
    page.goto(f"{filled.address}/?range=6h&subscription=mail")
    card(page, "duration").get_by_test_id("stPageLink-NavLink").first.click()
    expect(page.get_by_role("heading", name="Subscriber mail")).to_be_visible()
    expect(page).to_have_url(re.compile("/subscribers\\?"))
    assert {"range=6h", "subscription=mail"} <= set(page.url.partition("?")[2].split("&"))
    page.go_back()
    expect(card(page, "failures").get_by_test_id("stMetricValue")).to_have_text("4")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_a_number_leads_to_its_own_list_though_another_was_looked_at_before(filled: Dashboard, page: Page) -> None:
    page.goto(f"{filled.address}/log?key=S-1&range=7d")
    expect(page.get_by_text("3 rows:")).to_be_visible()
    page.get_by_role("link", name="Overview").click()
    expect(card(page, "messages")).to_be_visible()
    settled(page)
    card(page, "messages").get_by_test_id("stPageLink-NavLink").first.click()
    expect(page.get_by_text("10 rows:")).to_be_visible()


@pytest.mark.parametrize(("kind", "address"), [(1, "raised=yes"), (2, "/failures\\?.*from=")])
def test_a_bar_leads_to_the_list_of_its_kind_and_time(filled: Dashboard, page: Page, kind: int, address: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 1300})
    page.goto(f"{filled.address}/?range=24h&name=departed")  # bars wide enough to hold all of the fixture's messages
    bars = page.locator(".js-plotly-plot .trace.bars").nth(kind).locator(".point path")
    click_bar(bars, re.compile(address))
    assert "name=departed" in page.url
    assert "from=" in page.url
    expect(page.get_by_test_id("stMain")).to_contain_text(re.compile(r"4\s*failed" if kind == 2 else "5 rows"))


def test_what_is_new_since_the_last_visit_leads_to_it(filled: Dashboard, page: Page) -> None:
    page.goto(filled.address)
    expect(card(page, "failures")).to_be_visible()
    filled.bus.run("UPDATE buslog.visits SET seen_at = seen_at - interval '2 hours', before_at = NULL")
    page.goto(filled.address)
    page.get_by_role("link", name="4 new failures").click()
    expect(page.get_by_role("heading", name="Failures", exact=True)).to_be_visible()
    expect(page.get_by_test_id("stMain")).to_contain_text(re.compile(r"4\s*failed"))
    expect(page.get_by_role("button", name="ended since")).to_be_visible()


def test_the_overview_is_usable_on_a_phone(filled: Dashboard, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{filled.address}/?range=1h")
    expect(card(page, "workers")).to_be_visible()
    expect(page.locator(".js-plotly-plot .point path").first).to_be_attached()
    wide = page.evaluate("() => document.querySelector('[data-testid=\"stMain\"]').scrollWidth")
    assert wide <= 390, "nothing sticks out at the side"


def test_what_is_paused_in_the_browser_is_claimed_by_nobody_until_it_is_resumed(filled: Dashboard, page: Page) -> None:
    bus = filled.bus
    bus.subscribe("stalled", "held")
    bus.run("UPDATE buslog.workers SET hosts = hosts || 4")
    page.goto(f"{filled.address}/subscribers?subscription=stalled")
    page.get_by_role("button", name="Pause").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("mail server moves")
    dialog.get_by_role("button", name="Pause").click(click_count=2)
    expect(page.get_by_text("mail server moves. Its deliveries wait")).to_be_visible()
    bus.emit("held")
    claim = "SELECT count(*) FROM buslog.claim(%s, ARRAY[4], NULL, 10)"
    assert bus.run(claim, bus.start_worker()) == [(0,)]
    assert bus.run("SELECT reason FROM buslog.operations WHERE verb = 'pause'") == [("mail server moves",)]
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert bus.run(claim, bus.start_worker()) == [(1,)]


GRID = '[data-testid="stDataFrame"] [role="gridcell"]'


@pytest.mark.parametrize(
    ("path", "last"),
    [("", ".js-plotly-plot .bars"), ("subscribers", ".list td"), ("failures?show=deliveries&range=all", GRID),
     ("log?range=all", ".list td"), ("audit", ".list td")],
)  # fmt: skip
def test_a_page_names_every_script_that_it_will_need(filled: Dashboard, page: Page, path: str, last: str) -> None:
    loaded: set[str] = set()
    page.on("request", lambda request: loaded.add(request.url.rpartition("/")[2]))
    page.goto(f"{filled.address}/{path}")
    expect(page.locator(last).first).to_be_attached()
    html = page.request.get(f"{filled.address}/{path}").text()
    missed = {script for script in loaded if script.endswith(".js") and script not in html}
    assert missed <= {script for script in loaded if "Highlighter" in script or "hastscript" in script}
