"""Chromium, and how long it takes from a click until a page has settled."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Error, Locator, Page, sync_playwright

from benchmarks.environments import Absent, say
from benchmarks.harness import RunFailed
from tests.browser import installed

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
QUIET = 300  # ms without a change of the page, after which it counts as settled
PATIENCE = 30_000  # ms

# From a click on `element`, or a step back, to the last change of the page, once its script has run and nothing has
# changed for a while. A quick script's state is not seen to change: then the page's text is.
SETTLED = """async ([element, quiet, patience]) => {
    const app = document.querySelector('[data-testid="stApp"]');
    const before = document.body.innerText;
    const began = performance.now();
    let ran = false, last = began;
    const observer = new MutationObserver((changes) => {
        last = performance.now();
        ran ||= changes.some((change) => change.attributeName === 'data-test-script-state');
    });
    observer.observe(document.documentElement, {subtree: true, childList: true, attributes: true, characterData: true});
    element ? element.click() : history.back();
    while (performance.now() < began + patience) {
        await new Promise((done) => setTimeout(done, 20));
        const rests = app.dataset.testScriptState === 'notRunning';
        if (rests && performance.now() > last + quiet && (ran || document.body.innerText !== before)) {
            observer.disconnect();
            return last - began;
        }
    }
    throw new Error('it did not settle');
}"""

# Every table of a Streamlit page has its cells, and its script has run.
TABLES_SHOWN = """() => {
    const tables = [...document.querySelectorAll('[data-testid="stDataFrame"]')];
    return document.querySelector('[data-test-script-state="notRunning"]') && tables.length > 0
        && tables.every((table) => table.querySelector('[role="gridcell"]'));
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Raises `Absent`."""
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=installed(), args=list(FLAGS))
        except Error:
            raise Absent("no Chromium is installed") from None
        yield browser
        browser.close()


@contextmanager
def tab(browser: Browser) -> Iterator[Page]:
    """A tab with a cold cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def click_until_settled(page: Page, element: Locator | None) -> float:
    """Milliseconds from a click, or without an element from a step back, to the last change. Raises `RunFailed`."""
    try:
        handle = element.element_handle() if element else None
        took: float = page.evaluate(SETTLED, [handle, QUIET, PATIENCE])
    except Error as error:
        what = f"after a click on {element}" if element else "after a step back"
        say(f"    {what}, at {page.url}: {error.message.splitlines()[0]}")
        raise RunFailed("a page did not settle") from None
    return took


def rest(page: Page) -> None:
    """Until a Streamlit page has come, and has run."""
    page.wait_for_selector('[data-testid="stHeading"]')
    page.wait_for_selector('[data-test-script-state="notRunning"]')
    page.wait_for_timeout(QUIET)


def load(page: Page, address: str, shown: str) -> float:
    """Seconds from the request to where `shown` is: a selector, or a function in JavaScript. Raises `RunFailed`."""
    began = time.perf_counter()
    try:
        page.goto(address, wait_until="commit")
        if shown.startswith("()"):
            page.wait_for_function(shown)
        else:
            page.wait_for_selector(shown)
    except Error as error:
        say(f"    {address}: {error.message.splitlines()[0]}")
        raise RunFailed("a page did not come") from None
    return time.perf_counter() - began
