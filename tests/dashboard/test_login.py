"""Logging in at a real provider, in a real browser; what is closed without it; and what a role that is too low may not
do by any road.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from buslog.desk import Actor
from buslog.people import People
from buslog.rights import Role
from tests.dashboard.conftest import SEE_SECONDS, Dashboard, served

if TYPE_CHECKING:
    from tests.conftest import TestServer

SECRET = "a cookie secret of these tests alone"
PEOPLE: list[dict[str, Any]] = [
    {"sub": "vera", "email": "Vera@example.com", "name": "Vera Viewer"},
    {"sub": "olga", "email": "olga@example.com", "name": "Olga Operator", "groups": ["night-shift", "ops"]},
    {"sub": "adam", "email": "adam@example.com", "name": "Adam Admin", "groups": ["bosses"]},
]
LISTEN_IN = """
  const sockets = [];
  const Original = window.WebSocket;
  window.WebSocket = class extends Original { constructor(...all) { super(...all); sockets.push(this); } };
  window.forge = (bytes) => sockets.at(-1).send(new Uint8Array(bytes));
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """An OpenID provider in a process of its own, where everybody is who they say."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    users = [part for person in PEOPLE for part in ("--user-claims", json.dumps(person))]
    process = subprocess.Popen(
        [sys.executable, "-m", "oidc_provider_mock", "--host", "127.0.0.1", "--port", str(port), *users],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}/.well-known/openid-configuration"
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        try:
            urllib.request.urlopen(address, timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield address
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="module")
def dashboard(server18: TestServer, provider: str) -> Iterator[Dashboard]:
    """A dashboard with a login."""
    by_hand = sys.modules[type(server18).__module__].BusByHand
    dsn = server18.create()
    with served(
        dsn, BUSLOG_OIDC_METADATA_URL=provider, BUSLOG_OIDC_CLIENT_ID="buslog", BUSLOG_OIDC_CLIENT_SECRET="s3cret",
        BUSLOG_OIDC_COOKIE_SECRET=SECRET, BUSLOG_OIDC_REDIRECT_URL="{address}/oauth2callback",
        BUSLOG_OIDC_OPERATORS="ops, dispatch", BUSLOG_OIDC_ADMINS="bosses",
    ) as address:  # fmt: skip
        yield Dashboard(address, by_hand(dsn))
    server18.drop(dsn)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab that reaches this machine alone: the provider's pages would have a style sheet from far away."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SEE_SECONDS * 1000)
    context.route("https://**", lambda route: route.abort())
    yield context.new_page()
    context.close()


def log_in(page: Page, address: str, person: str) -> None:
    page.goto(address)
    page.get_by_role("link", name="Log in").click()
    page.get_by_role("button", name=person).click()
    page.wait_for_url(lambda url: "oauth2" not in url and "authorize" not in url)


def failed(dashboard: Dashboard, subscription: str) -> uuid.UUID:
    dashboard.bus.subscribe(subscription, f"{subscription}Asked")
    message = dashboard.bus.emit(f"{subscription}Asked", key=subscription)
    dashboard.bus.work(**{subscription: "failed"})
    return message


def state_of(dashboard: Dashboard, message: uuid.UUID) -> str:
    ((state,),) = dashboard.bus.run("SELECT state FROM buslog.log WHERE message_id = %s", message)
    return str(state)


def denied(dashboard: Dashboard, person: str) -> list[str]:
    rows = dashboard.bus.run(
        "SELECT verb FROM buslog.operations WHERE actor = %s AND outcome ? 'denied' ORDER BY id", person
    )
    return [row[0] for row in rows]


# ── closed without a login ──────────────────────────────────────────────────────


def cookie(address: str, *, secret: str = SECRET, **claims: Any) -> str:
    told = {"is_logged_in": True, "origin": address, "sub": "vera", "email": "vera@example.com", **claims}
    return f"{USER_COOKIE_NAME}={create_signed_value(secret, USER_COOKIE_NAME, json.dumps(told)).decode()}"


def get(address: str, path: str, cookie_: str = "", method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"{address}{path}", headers={"Cookie": cookie_}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


@pytest.mark.parametrize(
    "path", ["/", "/log", "/message?id=1", "/export.csv", "/metrics", "/_stcore/host-config", "/_stcore/metrics",
             "/media/x.csv", "/static/x.js", "/index.html"],
)  # fmt: skip
def test_without_the_cookie_of_a_login_nothing_is_served(dashboard: Dashboard, path: str) -> None:
    for road in ("", cookie(dashboard.address, secret="another secret of 32 characters, or so"),
                 cookie("http://127.0.0.1:1"), cookie(dashboard.address, is_logged_in=False)):  # fmt: skip
        status, text = get(dashboard.address, path, road)
        assert status == 401
        assert "Log in" in text
        assert "message_id" not in text
        assert "buslog_up" not in text
    assert get(dashboard.address, path, cookie(dashboard.address))[0] in {200, 404}


@pytest.mark.parametrize("path", ["/export.csv", "/export-excel.csv", "/export.parquet"])
def test_an_export_is_in_the_audit_under_the_name_of_the_login(dashboard: Dashboard, path: str) -> None:
    assert get(dashboard.address, path)[0] == 401
    with urllib.request.urlopen(
        urllib.request.Request(
            dashboard.address + path, headers={"Cookie": cookie(dashboard.address, email=f"{path[1:]}@example.com")}
        ),
        timeout=10,
    ) as answer:
        assert answer.read()
    actor = f"{path[1:]}@example.com"
    assert dashboard.bus.run("SELECT verb FROM buslog.operations WHERE actor = %s ORDER BY id", actor) == [
        ("export",), ("export ended",),
    ]  # fmt: skip


def test_the_websocket_wants_the_cookie_too(dashboard: Dashboard) -> None:
    def knock(headers: dict[str, str]) -> None:
        with connect(
            f"ws://{dashboard.host}/_stcore/stream", origin=Origin(dashboard.address), additional_headers=headers,
            subprotocols=[Subprotocol("streamlit")],
        ):  # fmt: skip
            pass

    for headers in ({}, {"Cookie": cookie(dashboard.address, secret="another secret of 32 characters, or so")}):
        with pytest.raises(InvalidStatus) as refused:
            knock(headers)
        assert refused.value.response.status_code == 403
    knock({"Cookie": cookie(dashboard.address)})


def test_a_sign_of_life_is_given_to_anybody_and_the_way_to_the_login_is_open(dashboard: Dashboard) -> None:
    assert get(dashboard.address, "/_stcore/health") == (200, "ok")
    status, text = get(dashboard.address, "/login")
    assert status == 200  # the provider's own page
    assert "buslog" in text


@pytest.mark.parametrize("where", ["//evil.example/log", "/elsewhere", "/\\evil.example", "http://evil.example/log"])
def test_the_way_back_from_a_login_leads_to_pages_of_ours_alone(dashboard: Dashboard, where: str) -> None:
    planted = f"{cookie(dashboard.address)}; buslog_next={urllib.request.quote(where, safe='')}"  # type: ignore[attr-defined]
    status, text = get(dashboard.address, "/", planted)
    assert status == 200
    assert "<title>Streamlit</title>" in text


# ── who somebody is ─────────────────────────────────────────────────────────────


def test_somebody_comes_back_to_the_page_they_asked_for_and_a_viewer_looks_but_cannot_act(
    dashboard: Dashboard, page: Page
) -> None:
    message = failed(dashboard, "looked")
    log_in(page, f"{dashboard.address}/message?id={message}", "vera")
    expect(page.get_by_role("heading", name="Event lookedAsked")).to_be_visible()
    expect(page).to_have_url(f"{dashboard.address}/message?id={message}")
    for verb in ("Replay", "Cancel"):
        expect(page.get_by_role("button", name=verb, disabled=True)).to_have_count(1)
    page.get_by_role("button", name="Replay").hover(force=True)
    expect(page.get_by_text("It takes an operator to replay a delivery; you are a viewer.")).to_be_visible()
    expect(page.get_by_text("acting as vera@example.com (viewer)")).to_be_visible()


def test_a_forged_click_on_a_button_that_is_disabled_does_nothing(dashboard: Dashboard, page: Page) -> None:
    message = failed(dashboard, "forged")
    forger = Forger(page, f"id={message}")
    log_in(page, f"{dashboard.address}/message?id={message}", "vera")
    expect(page.get_by_role("button", name="Replay", disabled=True)).to_have_count(1)
    assert forger.click("Replay").disabled
    assert state_of(dashboard, message) == "failed"
    # The same message from somebody who may is as good as a click.
    People(dashboard.bus.dsn, Actor("local:test", "cli")).set_role("vera@example.com", Role.OPERATOR)
    page.reload()
    expect(page.get_by_role("button", name="Replay", disabled=False)).to_have_count(1)
    forger.click("Replay")
    assert state_of(dashboard, message) == "pending"
    People(dashboard.bus.dsn, Actor("local:test", "cli")).set_role("vera@example.com", None)
    dashboard.bus.work()


class Forger:
    """Reads what the server sends a page, and answers with clicks that nobody made, on the page's own websocket."""

    def __init__(self, page: Page, query: str) -> None:
        self._page, self._query = page, query
        self._told: list[ForwardMsg] = []
        page.add_init_script(LISTEN_IN)
        page.on("websocket", lambda opened: opened.on("framereceived", self._hear))

    def _hear(self, data: bytes | str) -> None:
        if isinstance(data, bytes):
            self._told.append(ForwardMsg.FromString(data))

    def click(self, label: str) -> Any:
        """Sends a click on the newest button of this label, and waits until the server has carried it out."""
        button = [e.button for e in self._elements() if e.WhichOneof("type") == "button" and e.button.label == label][
            -1
        ]
        forged = BackMsg()
        forged.rerun_script.query_string = self._query
        forged.rerun_script.page_script_hash = self._all("navigation")[-1].page_script_hash
        state = forged.rerun_script.widget_states.widgets.add()
        state.id, state.trigger_value = button.id, True
        ended = len(self._all("script_finished"))
        self._page.evaluate("(bytes) => window.forge(bytes)", list(forged.SerializeToString()))
        give_up_at = time.monotonic() + SEE_SECONDS
        while len(self._all("script_finished")) == ended:
            assert time.monotonic() < give_up_at
            self._page.wait_for_timeout(50)
        return button

    def _all(self, kind: str) -> list[Any]:
        return [getattr(told, kind) for told in self._told if told.WhichOneof("type") == kind]

    def _elements(self) -> list[Any]:
        return [delta.new_element for delta in self._all("delta") if delta.WhichOneof("type") == "new_element"]


def test_an_operator_by_claims_acts_until_demoted_and_then_at_once_no_more(dashboard: Dashboard, page: Page) -> None:
    first, second = failed(dashboard, "mended"), failed(dashboard, "kept")
    log_in(page, f"{dashboard.address}/message?id={first}", "olga")
    replay = page.get_by_role("button", name="Replay")
    expect(replay).to_have_count(1)  # what is drawn anew stands there twice for a moment
    replay.click()
    expect(page.get_by_text("○ pending").first).to_be_visible()
    page.goto(f"{dashboard.address}/message?id={second}")
    expect(page.get_by_role("button", name="Replay", disabled=False)).to_have_count(1)
    expect(replay).to_have_count(1)
    People(dashboard.bus.dsn, Actor("local:test", "cli")).set_role("olga@example.com", Role.VIEWER)
    replay.click()  # the open page still offers it
    expect(page.get_by_text("You may not do this")).to_be_visible()
    expect(page.get_by_role("button", name="Replay", disabled=False)).to_have_count(0)
    expect(page.get_by_role("button", name="Replay", disabled=True)).to_have_count(1)
    assert denied(dashboard, "olga@example.com") == ["replay"]
    assert state_of(dashboard, second) == "failed"
    dashboard.bus.work()


def test_an_admin_gives_a_role_and_logs_out(dashboard: Dashboard, page: Page, browser: Browser) -> None:
    log_in(page, f"{dashboard.address}/permissions", "adam")
    expect(page.get_by_text("● admin: everything, people included")).to_be_visible()
    expect(page.get_by_text("the groups of your login")).to_be_visible()
    page.get_by_role("combobox", name="Person").fill("ben@example.com")
    page.keyboard.press("Enter")
    page.get_by_role("combobox", name="Role").click()
    page.get_by_role("option", name="operator").click()
    page.get_by_role("button", name="Give the role").click()
    expect(page.get_by_text("The role of ben@example.com: operator.")).to_be_visible()
    assert dashboard.bus.run("SELECT given::text FROM buslog.users WHERE person = 'ben@example.com'") == [("operator",)]
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="End session").click()
    page.goto(f"{dashboard.address}/log")
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
