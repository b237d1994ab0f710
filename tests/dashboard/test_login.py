"""Logging in at a real provider, in a real browser; what is closed without it; and what a role that is too low may not
do by any road.
"""

from __future__ import annotations

import json
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
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from buslog.alerting.model import Rule, RuleKind
from buslog.alerts import Alerts
from buslog.console import words
from buslog.console.routes import ROUTES
from buslog.desk import Actor
from buslog.filter import Filter
from buslog.operations import Operations
from buslog.people import People
from buslog.replays import Replays
from buslog.rights import Role
from tests.dashboard.conftest import SEE_SECONDS, Dashboard, dashboard_of
from tests.dashboard.hands import Forger, settled
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.conftest import TestServer

SECRET = "a cookie secret of these tests alone"
PEOPLE: list[dict[str, Any]] = [
    {"sub": "vera", "email": "Vera@example.com", "name": "Vera Viewer"},
    {"sub": "olga", "email": "olga@example.com", "name": "Olga Operator", "groups": ["night-shift", "ops"]},
    {"sub": "adam", "email": "adam@example.com", "name": "Adam Admin", "groups": ["bosses"]},
]


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """An OpenID provider in a process of its own, where everybody is who they say."""
    port = free_port()
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
    with dashboard_of(
        server18, BUSLOG_OIDC_METADATA_URL=provider, BUSLOG_OIDC_CLIENT_ID="buslog",
        BUSLOG_OIDC_CLIENT_SECRET="s3cret", BUSLOG_OIDC_COOKIE_SECRET=SECRET, BUSLOG_MASK_FIELDS="*.email",
        BUSLOG_OIDC_REDIRECT_URL="{address}/oauth2callback", BUSLOG_OIDC_OPERATORS="ops, dispatch",
        BUSLOG_OIDC_ADMINS="bosses",
    ) as opened:  # fmt: skip
        yield opened


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
    forger = Forger(page)
    log_in(page, f"{dashboard.address}/message?id={message}", "vera")
    expect(page.get_by_role("button", name="Replay", disabled=True)).to_have_count(1)
    assert forger.button("Replay").disabled
    forger.click("Replay")
    assert state_of(dashboard, message) == "failed"
    # The same message from somebody who may is as good as a click.
    People(dashboard.bus.dsn, Actor("local:test", "cli")).set_role("vera@example.com", Role.OPERATOR)
    page.reload()
    expect(page.get_by_role("button", name="Replay", disabled=False)).to_have_count(1)
    forger.click("Replay")
    assert state_of(dashboard, message) == "pending"
    People(dashboard.bus.dsn, Actor("local:test", "cli")).set_role("vera@example.com", None)
    dashboard.bus.work()


def test_an_operator_by_claims_acts_until_demoted_and_then_at_once_no_more(dashboard: Dashboard, page: Page) -> None:
    first, second = failed(dashboard, "mended"), failed(dashboard, "kept")
    dashboard.bus.subscribe("wiping", "wipe", kind="command")
    dashboard.bus.run("""UPDATE buslog.subscriptions SET policy = policy || '{"role": "admin"}'
                         WHERE subscription = 'wiping'""")
    log_in(page, f"{dashboard.address}/commands?command=wipe", "olga")
    expect(page.get_by_role("button", name="Run wipe", disabled=True)).to_have_count(1)
    page.goto(f"{dashboard.address}/message?id={first}")
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


def test_an_admin_gives_a_role_and_logs_out_and_both_ways_stand_in_the_audit(dashboard: Dashboard, page: Page) -> None:
    log_in(page, f"{dashboard.address}/permissions", "adam")
    expect(page.get_by_text("● admin: everything, people included")).to_be_visible()
    page.reload()  # the same login, in a session of its own
    expect(page.get_by_text("● admin: everything, people included")).to_be_visible()
    expect(page.get_by_text("the groups of your login")).to_be_visible()
    page.get_by_role("combobox", name="Person").fill("ben@example.com")
    page.keyboard.press("Enter")
    page.get_by_role("combobox", name="Role").click()
    page.get_by_role("option", name="operator").click()
    page.get_by_role("button", name="Give the role").click()
    expect(page.get_by_text("The role of ben@example.com: operator.")).to_be_visible()
    assert dashboard.bus.run("SELECT given::text FROM buslog.users WHERE person = 'ben@example.com'") == [("operator",)]
    settled(page)
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="End session").click()
    page.goto(f"{dashboard.address}/log")
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
    came = dashboard.bus.run(
        "SELECT verb, outcome ->> 'how', outcome ->> 'role' FROM buslog.operations"
        " WHERE actor = 'adam@example.com' AND verb IN ('log in', 'log out') ORDER BY id"
    )
    assert came == [("log in", "login", "admin"), ("log out", None, None)]


# ── a viewer cannot act by any road ─────────────────────────────────────────────


@pytest.fixture
def to_act_on(dashboard: Dashboard) -> Iterator[dict[str, dict[str, str | None]]]:
    """Pages by their address, each with its buttons that act and the verb that the operation behind them asks for.

    None: it asks for none, since the page has looked the role up anew before, or what was typed is refused before.
    """
    bus, admin = dashboard.bus, Actor("local:test", "cli")
    bus.subscribe("roads", "roadsAsked")
    bus.subscribe("roadsRun", "roadsRun", kind="command")
    due = bus.emit("roadsAsked", key="roads")
    bus.work(roads="retrying")
    broken = bus.emit("roadsAsked", key="roads")
    bus.work(roads="failed")
    bus.run("SELECT buslog.fold_failures(1000)")
    replays, alerts = Replays(bus.dsn, admin), Alerts(bus.dsn, admin)
    run = replays.start(replays.preview(Filter(key="roads")).run, undo=60, canary=0).id
    Operations(bus.dsn, admin).pause("roads")
    alerts.set_rule(Rule("Roads", RuleKind.NO_WORKER, 60))
    ((fingerprint,),) = bus.run("SELECT fingerprint FROM buslog.failures WHERE message_id = %s", broken)
    yield {
        f"message?id={broken}": {"Replay": "replay", words.NOTES_ADD: None},
        f"message?id={due}": {"Run now": "run now", "Cancel": "cancel"},
        f"failures?group={fingerprint}": {words.ACKNOWLEDGE: "acknowledge"},
        f"replays?run={run}": {words.UNDO: "stop"},
        "subscribers?subscription=roads": {"Resume": "resume"},
        "alerts": {words.ALERT_OFF: "set alert"},
        "commands?command=roadsRun": {"Run roadsRun": None},
    }
    replays.stop(run)
    Operations(bus.dsn, admin).resume("roads")
    alerts.remove_rule("Roads")
    People(bus.dsn, admin).set_role("vera@example.com", None)


def as_it_stands(dashboard: Dashboard) -> list[tuple[Any, ...]]:
    """All that an operation would change."""
    return dashboard.bus.run(
        """SELECT (SELECT count(*) FROM buslog.messages), (SELECT count(*) FROM buslog.notes),
                  (SELECT array_agg((message_id, generation, state, due_at) ORDER BY 1)::text FROM buslog.deliveries),
                  (SELECT count(*) FROM buslog.ended_deliveries),
                  (SELECT array_agg((id, state) ORDER BY id)::text FROM buslog.replays),
                  (SELECT array_agg((fingerprint, status) ORDER BY 1)::text FROM buslog.failure_groups),
                  (SELECT array_agg((subscription, paused_at) ORDER BY 1)::text FROM buslog.subscriptions),
                  (SELECT array_agg(enabled)::text FROM buslog.alert_rules)"""
    )


def test_a_viewer_acts_by_no_road_neither_forged_nor_from_a_page_drawn_when_they_still_might(
    dashboard: Dashboard, page: Page, to_act_on: dict[str, dict[str, str | None]]
) -> None:
    people = People(dashboard.bus.dsn, Actor("local:test", "cli"))
    forger = Forger(page)
    log_in(page, dashboard.address, "vera")
    before = as_it_stands(dashboard)
    for address, acting in to_act_on.items():
        people.set_role("vera@example.com", Role.ADMIN)
        page.goto(f"{dashboard.address}/{address}")
        expect(page.get_by_text("acting as vera@example.com (admin)")).to_be_visible()
        settled(page)
        assert not [label for label in acting if forger.button(label).disabled], address
        people.set_role("vera@example.com", None)
        known = denied(dashboard, "vera@example.com")
        forger.click(*acting)
        expect(page.get_by_text("acting as vera@example.com (viewer)")).to_be_visible()
        assert denied(dashboard, "vera@example.com")[len(known) :] == [verb for verb in acting.values() if verb]
        assert [label for label in acting if not forger.button(label).disabled] == [], address
        forger.click(*acting)
        assert as_it_stands(dashboard) == before, address


@pytest.mark.parametrize("path", sorted(route.path for route in ROUTES))
def test_a_route_gives_a_viewer_what_they_may_see_masked_and_takes_nothing(dashboard: Dashboard, path: str) -> None:
    message = dashboard.bus.emit("routed", '{"customer": {"email": "secret@example.com"}}', key=path)
    before = as_it_stands(dashboard)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        asked = urllib.request.Request(
            f"{dashboard.address}{path}?id={message}", method=method, data=b"",
            headers={"Cookie": cookie(dashboard.address), "Origin": dashboard.address},
        )  # fmt: skip
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(asked, timeout=10)
        assert refused.value.code in {403, 404, 405}
        refused.value.close()
    with urllib.request.urlopen(
        urllib.request.Request(
            f"{dashboard.address}{path}?{'id=' + str(message) if path.startswith('/payload') else 'range=1h'}",
            headers={"Cookie": cookie(dashboard.address)},
        ), timeout=10,
    ) as answer:  # fmt: skip
        assert b"secret@example.com" not in answer.read()
    assert as_it_stands(dashboard) == before
