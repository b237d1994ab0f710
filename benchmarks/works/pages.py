"""page_click, page_cold: Chromium on the dashboard, on a bare page of Streamlit, and on the dashboards of others."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any

from playwright.sync_api import Browser, Locator, Page

from benchmarks.browser import TABLES_SHOWN, chromium, click_until_settled, free_port, load, rest, tab
from benchmarks.environments import say
from benchmarks.harness import Bench, Running, Subject, Work
from benchmarks.works.browsing import reader
from benchmarks.works.latency import percentile
from buslog import db
from buslog.console import frame, words

LINK = '[data-testid="stTopNavLink"]'
BUTTON = '[data-testid="stButtonGroup"] button:visible'
LIST = '[data-testid="stSelectbox"]:visible'
SAY_SLOWEST = 3

# Of a dashboard, the address of its failures, and what shows that they are there. {…} are a work's options.
SHOWN = {
    "buslog": ("failures?show=deliveries&range={range}", TABLES_SHOWN),
    "streamlit": ("", TABLES_SHOWN),
    "bullboard": ("ui/queue/bench?status=failed", "text=no answer within 5 s"),
    "flower": ("tasks", "#tasks-table tbody tr td:has-text('shipmentDeparted')"),
    "rqdashboard": ("0/view/jobs/bench/failed/50/dsc/1", "#jobs tr[data-role=job] >> text=no answer"),
    "datasette": ("failures/failures?_sort_desc=id&_size=50", "table.rows-and-columns tbody tr"),
}


@contextmanager
def served(bench: Bench, subject: Subject, dsn: str = "") -> Iterator[tuple[str, Running]]:
    """A dashboard with failures in it; gives its address. dsn: where our log is, when it is not the generated one."""
    options: dict[str, Any] = {"port": free_port(), "count": bench.scale.dead}
    subject = reader(subject) if subject.peer is None else subject
    if subject.redis:
        options |= bench.where(subject)
    elif subject.name == "datasette":
        options |= {"file": str(bench.services.folder / "failures.db"), "count": bench.scale.tabled}
        bench.run(subject, "fill", options)
    else:
        options["dsn"] = dsn or bench.log.dsn
    with bench.running(subject, "serve", options) as server:
        if subject.redis:
            bench.run(subject, "fail", options)
        yield f"http://127.0.0.1:{options['port']}", server


def measure_cold(bench: Bench, subject: Subject) -> Mapping[str, float]:
    with served(bench, subject) as (address, _), chromium() as browser:
        return {"page_cold": cold(bench, subject, browser, address)}


def measure(bench: Bench, subject: Subject) -> Mapping[str, float]:
    """Of a Streamlit page both, from one server."""
    with served(bench, subject) as (address, _), chromium() as browser:
        found = {"page_cold": cold(bench, subject, browser, address)}
        with tab(browser) as page:
            page.goto(address)
            rest(page)
            if subject.name == "streamlit":
                button = page.get_by_role("button", name="Refresh")
                clicks = [click_until_settled(page, button) for _ in range(bench.scale.clicks * 4)]
            else:
                clicks = walk(bench, page, address)
        return {**found, "page_click": percentile(clicks, 0.95)}


def cold(bench: Bench, subject: Subject, browser: Browser, address: str) -> float:
    path, shown = SHOWN[subject.name]
    took = []
    for _ in range(bench.scale.loads + 1):
        with tab(browser) as page:
            took.append(load(page, f"{address}/{path.format(range=bench.scale.range)}", shown))
    return median(took[1:])  # the first one was cold for the server as well


def walk(bench: Bench, page: Page, address: str) -> list[float]:
    """Milliseconds of each click: into every page, and from filter to filter there."""
    took: dict[str, list[float]] = defaultdict(list)
    known = {path: deep_link(bench, path) for path in ("", *frame.PATHS)}
    for _ in range(bench.scale.clicks):
        for path, query in known.items():
            link = page.locator(f'{LINK}[href$="/{path}"]')
            if link.count():
                took[path].append(click_until_settled(page, link.first))
            else:
                # A page without a place in the menu: left by the menu, and come back to.
                page.goto(f"{address}/{path}?{query}")
                rest(page)
                click_until_settled(page, page.locator(LINK).first)
                took[path].append(click_until_settled(page, None))
            assert page.url.split("?")[0].endswith(f"/{path}"), page.url
            for range_ in bench.scale.filters:
                choice = choice_of(page, words.RANGES[range_])
                if choice is not None:
                    took[f"{path}: {range_}"].append(click_until_settled(page, choice))
    for what in sorted(took, key=lambda one: -median(took[one]))[:SAY_SLOWEST]:
        say(f"    /{what}: p50 {median(took[what]):.0f} ms, longest {max(took[what]):.0f} ms")
    return [one for times in took.values() for one in times]


def choice_of(page: Page, range_: str) -> Locator | None:
    """What sets a page's filter to a range of time: a button of its own, or an option of a list, which is opened."""
    exactly = re.compile(f"^{re.escape(range_)}$")
    button = page.locator(BUTTON, has_text=exactly)
    if button.count():
        return button.first
    lists = page.locator(LIST, has_text="Time")
    if not lists.count():
        return None
    lists.first.locator("input").click()
    return page.get_by_role("option").filter(has_text=exactly)


def deep_link(bench: Bench, path: str) -> str:
    """The query of a page that shows one thing: a message that failed, or its key."""
    column = {"message": "m.id::text", "key": "m.key"}.get(path)
    if column is None:
        return ""
    with db.connect(bench.log.dsn) as connection:
        row = connection.execute(
            f"""SELECT {column} FROM buslog.ended_deliveries e JOIN buslog.messages m ON m.id = e.message_id
                WHERE e.state = 'failed' AND e.latest ORDER BY e.message_id DESC LIMIT 1""".encode()  # noqa: S608
        ).fetchone()
    return f"{'id' if path == 'message' else 'key'}={row[0]}" if row else ""


WORKS = (
    Work({"page_click": "ms", "page_cold": "s"}, ("buslog", "streamlit"), measure),
    Work({"page_cold": "s"}, ("bullboard", "flower", "rqdashboard", "datasette"), measure_cold),
)
