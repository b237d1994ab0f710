"""The dashboard: by AppTest through app.py, and in a real browser against a real server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Element

from buslog.console import access
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.conftest import BusByHand, TestServer

APP = Path(__file__).parents[2] / "app.py"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
START_SECONDS = 120
SEE_SECONDS = 30  # a first page of a fresh server in a fresh browser, on two busy cores


# ── AppTest ─────────────────────────────────────────────────────────────────────

Open = Callable[..., AppTest]


@pytest.fixture
def open_page(dsn18: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens a page of the dashboard of the test's database: open_page("log", key="S-42")."""
    yield from _opener(dsn18, monkeypatch)


@pytest.fixture
def open_page_of_nothing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """The same where no database answers."""
    yield from _opener("postgresql://anna:s3cret@127.0.0.1:1/nowhere", monkeypatch)


def _opener(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    # AppTest forgets before every run that the server has closed the legacy `pages/` discovery.
    original = PagesManager.__init__

    def closed(self: PagesManager, *args: Any, **options: Any) -> None:
        PagesManager.uses_pages_directory = False
        original(self, *args, **options)

    monkeypatch.setattr(PagesManager, "__init__", closed)
    monkeypatch.setattr(access, "_dsn", dsn)

    def open_(page: str = "overview", /, **params: str | list[str]) -> AppTest:
        at = AppTest.from_file(APP, default_timeout=30)
        if page != "overview":
            # st.navigation must have run once before another page can be asked for.
            at.run()
            at.switch_page(f"pages/{page}.py")
        for name, value in params.items():
            at.query_params[name] = value
        return at.run()

    yield open_
    access.close()


def all_text(at: AppTest) -> str:
    """Everything a reader sees, as one text."""
    parts = texts_of(at, "title", "header", "subheader", "markdown", "text", "caption", "code", "html", "warning")
    parts += [button.label for button in at.button]
    parts += [f"{metric.label} {metric.value}" for metric in at.metric]
    return "\n".join(parts)


def texts_of(at: AppTest, *kinds: str) -> list[str]:
    return [str(element.value) for kind in kinds for element in at.get(kind) if isinstance(element, Element)]


def list_of(at: AppTest, label: str) -> list[dict[str, str]]:
    """The rows of the first list in HTML that has this column, each by the labels of its columns."""
    for html in texts_of(at, "html"):
        heads = [_told(head) for head in re.findall(r"<th[^>]*>(.*?)</th>", html)]
        if label in heads:
            rows = re.findall(r"<tr[^>]*>(<td.*?)</tr>", html)
            return [dict(zip(heads, map(_told, re.findall(r"<td[^>]*>(.*?)</td>", row)), strict=True)) for row in rows]
    return []


def column_of(at: AppTest, label: str) -> list[str]:
    """What the first list in HTML that has this column says in it, row by row."""
    return [row[label] for row in list_of(at, label)]


def _told(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", html))


# ── a real server and browser ───────────────────────────────────────────────────


@dataclass(frozen=True)
class Dashboard:
    """A dashboard that is served, and the bus behind it."""

    address: str
    bus: BusByHand

    @property
    def host(self) -> str:
        return self.address.removeprefix("http://")


@pytest.fixture(scope="module")
def dashboard(server18: TestServer) -> Iterator[Dashboard]:
    """One server for the tests of a module; each uses keys of its own."""
    with dashboard_of(server18) as opened:
        yield opened


@contextmanager
def dashboard_of(server: TestServer, **settings: str) -> Iterator[Dashboard]:
    """A served dashboard of a fresh database."""
    by_hand = sys.modules[type(server).__module__].BusByHand
    dsn = server.create()
    with served(dsn, **settings) as address:
        yield Dashboard(address, by_hand(dsn))
    server.drop(dsn)


@contextmanager
def served(dsn: str, *options: str, **settings: str) -> Iterator[str]:
    """`buslog dashboard` in a process of its own; gives its address. In a setting {address} stands for it."""
    process, address = dashboard_process(dsn, *options, **settings)
    try:
        yield address
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=60)
    assert "Traceback" not in output, output
    assert process.returncode == 0, output


def dashboard_process(
    dsn: str, *options: str, server: Sequence[str] = ("buslog", "dashboard"), **settings: str
) -> tuple[subprocess.Popen[str], str]:
    """The process and its address, once it answers. Whoever asks for it ends it.

    server: a module, and what it serves.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", *server, "--port", str(port), *options],
        env={**os.environ, "BUSLOG_DSN": dsn, "PYTHONPATH": os.pathsep.join(sys.path),
             **{name: value.format(address=address) for name, value in settings.items()}}, cwd=APP.parent,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        _wait_for(process, address)
    except AssertionError:
        process.kill()
        process.communicate()
        raise
    return process, address


def _wait_for(process: subprocess.Popen[str], address: str) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the dashboard did not come up")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser, a server and Streamlit's redrawing on two busy cores: what fails there may be the machine's doing, and
    is asked once more. What had to be asked twice is named at the end of the run (R).
    """
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What is asked once more gets a server and a database anew: the first time has left messages in the old one."""
    if isinstance(item, pytest.Function) and getattr(item, "execution_count", 1) > 1:
        for definition in item._fixtureinfo.name2fixturedefs.get("dashboard", ()):
            definition.finish(item._request)  # type: ignore[arg-type]  # it takes what every item has, too


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """An installed Chromium or Chrome; otherwise Playwright's own."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        expect.set_options(timeout=SEE_SECONDS * 1000)
        opened = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab at 1280 pixels that talks to nobody but the dashboard."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(SEE_SECONDS * 1000)
    opened = context.new_page()
    strangers: list[str] = []
    opened.on(
        "request",
        lambda request: (
            None if request.url.startswith(("http://127.0.0.1:", "data:", "blob:")) else strangers.append(request.url)
        ),
    )
    yield opened
    context.close()
    assert strangers == []
