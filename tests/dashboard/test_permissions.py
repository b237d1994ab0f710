"""The page "Your permissions", and what a session without a login sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from streamlit.testing.v1 import AppTest

from buslog.config import settings
from buslog.console import login, words
from buslog.desk import Actor
from buslog.people import People
from buslog.rights import RIGHTS, Role
from tests.dashboard.conftest import APP, Open, all_text, list_of
from tests.unit.test_rights import GOOD

if TYPE_CHECKING:
    from tests.conftest import BusByHand

ANNA = {"is_logged_in": True, "email": "anna@example.com", "sub": "7", "name": "Anna ![x](http://evil.example/x.png)"}


@pytest.fixture
def with_login(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {**GOOD, "OPERATORS": "ops", "ADMINS": "bosses"}.items():
        monkeypatch.setenv(f"BUSLOG_OIDC_{name}", value)
    settings.cache_clear()
    login.configured.cache_clear()
    yield
    settings.cache_clear()
    login.configured.cache_clear()


def seen_by(open_page: Open, page: str, claims: dict[str, Any], **params: str) -> AppTest:
    """A page as somebody sees it who has logged in."""
    original = AppTest.from_file

    def logged_in(*all_: Any, **options: Any) -> AppTest:
        at = original(*all_, **options)
        at.user = dict(claims)
        return at

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(AppTest, "from_file", logged_in)
        return open_page(page, **params)


def rights(at: AppTest) -> dict[str, str]:
    return {row["What"]: row["You may"] for row in list_of(at, "You may")}


def test_without_a_login_whoever_is_at_this_machine_is_told_that_they_may_do_everything(open_page: Open) -> None:
    at = open_page("permissions")
    assert not at.exception
    assert "local:" in all_text(at)
    assert words.FROM_THIS_MACHINE in all_text(at)
    assert set(rights(at).values()) == {words.MAY}
    assert words.NOBODY_YET in all_text(at)


@pytest.mark.parametrize(("groups", "role"), [([], "viewer"), (["ops"], "operator"), (["bosses"], "admin")])
def test_the_table_says_with_mark_and_word_what_a_role_may(
    open_page: Open, with_login: None, groups: list[str], role: str
) -> None:
    at = seen_by(open_page, "permissions", {**ANNA, "groups": groups})
    assert not at.exception
    text = all_text(at)
    assert "anna@example.com" in text
    assert f"{role}: " in text
    assert "<img" not in text
    assert (words.ASK_AN_ADMIN in text) is (role != "admin")
    mine = Role(role)
    assert rights(at) == {
        words.VERBS[verb]: words.MAY if mine.covers(least) else words.MAY_NOT for verb, least in RIGHTS.items()
    }
    (give,) = [button for button in at.button if button.label == words.GIVE]
    assert give.disabled is (role != "admin")
    assert bool(give.help) is (role != "admin")


def test_a_role_given_by_hand_is_told_as_such_and_wins(open_page: Open, with_login: None, by_hand18: BusByHand) -> None:
    People(by_hand18.dsn, Actor("local:test", "cli")).set_role("anna@example.com", Role.OPERATOR)
    at = seen_by(open_page, "permissions", {**ANNA, "groups": ["bosses"]})
    assert words.FROM_HAND in all_text(at)
    assert "operator: " in all_text(at)


@pytest.mark.parametrize("page", ["overview", "failures", "log", "commands", "permissions"])
def test_a_session_without_a_login_sees_nothing_but_the_way_to_it(
    open_page: Open, with_login: None, by_hand18: BusByHand, page: str
) -> None:
    by_hand18.emit("shipmentDeparted", key="S-42")
    at = AppTest.from_file(APP, default_timeout=30)
    at.user = {"is_logged_in": False}
    at.run()
    if page != "overview":
        at.switch_page(f"pages/{page}.py").run()
    assert [button.label for button in at.button] == [words.LOG_IN]
    assert not at.dataframe
    assert not at.get("html")
    assert "S-42" not in all_text(at)


@pytest.mark.parametrize(
    ("demanded", "groups", "is_closed"),
    [(None, [], True), (None, ["ops"], False), ("admin", ["ops"], True), ("admin", ["bosses"], False)],
)
@pytest.mark.usefixtures("with_login")
def test_a_command_s_form_is_closed_to_a_role_that_is_too_low_and_says_why(
    open_page: Open, by_hand18: BusByHand, demanded: str | None, groups: list[str], *, is_closed: bool
) -> None:
    by_hand18.subscribe("ops:wipe", "wipe", kind="command")
    by_hand18.run("UPDATE buslog.subscriptions SET policy = policy || jsonb_build_object('role', %s::text)", demanded)
    at = seen_by(open_page, "commands", {**ANNA, "groups": groups}, command="wipe")
    assert not at.exception
    (run,) = [button for button in at.button if button.label.startswith("Run")]
    assert run.disabled is is_closed
    assert ("It takes an" in (run.help or "")) is is_closed
