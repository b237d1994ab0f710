from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buslog.config import settings
from buslog.console import login, words
from buslog.console.login import Login
from buslog.errors import Misconfigured
from buslog.replays import Verb
from buslog.rights import RIGHTS, Role, least_role

Configure = Callable[..., Login | None]
OPERATING = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")


def test_the_table_of_rights_in_the_docs_is_the_one_in_the_code() -> None:
    assert dict(re.findall(r"^\| `([\w ]+)` \| (viewer|operator|admin) \|", OPERATING, re.MULTILINE)) == RIGHTS


def test_every_verb_and_every_role_has_words_on_the_screens() -> None:
    assert words.VERBS.keys() == RIGHTS.keys()
    assert words.ROLES.keys() == set(Role)


def test_every_kind_of_stored_run_is_a_verb() -> None:
    assert {f"{verb} many" for verb in Verb} <= RIGHTS.keys()


def test_a_role_covers_itself_and_those_below() -> None:
    assert [[above.covers(below) for below in Role] for above in Role] == [
        [True, False, False], [True, True, False], [True, True, True]
    ]  # fmt: skip


def test_what_a_command_demands_can_only_raise_what_a_verb_takes() -> None:
    assert least_role("run", Role.ADMIN) is Role.ADMIN
    assert least_role("run", Role.VIEWER) is Role.OPERATOR
    with pytest.raises(KeyError):
        least_role("conjure")


# ── what claims mean ────────────────────────────────────────────────────────────


def a_login(person_claim: str = "email", role_claim: str = "groups") -> Login:
    return Login(
        "https://id.example/.well-known/openid-configuration", "buslog", "", "", "https://bus.example/oauth2callback",
        "openid", person_claim, role_claim, frozenset({"ops"}), frozenset({"bosses"}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("claim", "claims", "person"),
    [
        ("email", {"sub": "7", "email": "Anna@Example.com"}, "anna@example.com"),
        ("email", {"sub": "7", "email": "anna@example.com", "email_verified": False}, "sub:7"),
        ("email", {"sub": "7"}, "sub:7"),
        ("sub", {"sub": "7", "email": "anna@example.com"}, "7"),
        ("upn", {"upn": "anna"}, "anna"),
    ],
)
def test_somebody_is_known_by_the_claim_that_was_chosen(claim: str, claims: dict[str, object], person: str) -> None:
    assert a_login(claim).person_of(claims) == person


@pytest.mark.parametrize("name", ["local", "local:root", "", "a\nb", "x" * 201])
def test_nobody_logs_in_with_a_name_that_is_none_or_somebody_s_at_this_machine(name: str) -> None:
    with pytest.raises(Misconfigured):
        a_login("upn").person_of({"upn": name})


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"groups": ["night", "ops"]}, Role.OPERATOR),
        ({"groups": ["ops", "bosses"]}, Role.ADMIN),
        ({"groups": "bosses"}, Role.ADMIN),
        ({"groups": ["boss", "opsy"]}, Role.VIEWER),
        ({"groups": {"ops": True}}, Role.VIEWER),
        ({}, Role.VIEWER),
    ],
)
def test_a_role_is_the_highest_of_the_claim_s_values(claims: dict[str, object], role: Role) -> None:
    assert a_login().role_of(claims) is role


def test_a_role_claim_may_lie_within_another_or_have_dots_in_its_name() -> None:
    assert a_login(role_claim="realm_access.roles").role_of({"realm_access": {"roles": ["ops"]}}) is Role.OPERATOR
    assert a_login(role_claim="https://x.example/roles").role_of({"https://x.example/roles": ["ops"]}) is Role.OPERATOR


# ── settings ────────────────────────────────────────────────────────────────────

GOOD = {
    "METADATA_URL": "https://id.example/.well-known/openid-configuration", "CLIENT_ID": "buslog",
    "CLIENT_SECRET": "s3cret-of-the-client", "COOKIE_SECRET": "c" * 32,
    "REDIRECT_URL": "https://bus.example/oauth2callback",
}  # fmt: skip


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    def given(**changes: str) -> Login | None:
        for name, value in {**GOOD, **changes}.items():
            monkeypatch.setenv(f"BUSLOG_OIDC_{name}", value)
        settings.cache_clear()
        login.configured.cache_clear()
        return login.configured()

    yield given
    settings.cache_clear()
    login.configured.cache_clear()


def test_a_whole_login_is_taken_and_shows_no_secret(configure: Configure) -> None:
    found = configure(OPERATORS="ops, dispatch,")
    assert found is not None
    assert (found.origin, found.host, found.is_https) == ("https://bus.example", "bus.example", True)
    assert found.operators == {"ops", "dispatch"}
    assert "s3cret" not in repr(found)
    assert "ccc" not in repr(found)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CLIENT_SECRET", ""),
        ("COOKIE_SECRET", "short-and-secret"),
        ("REDIRECT_URL", "https://bus.example/"),
        ("REDIRECT_URL", "http://bus.example/oauth2callback"),
        ("METADATA_URL", "http://id.example/.well-known/openid-configuration"),
        ("METADATA_URL", "id.example"),
    ],
)
def test_half_a_login_or_an_unsafe_one_is_refused_by_name(configure: Configure, variable: str, value: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        configure(**{variable: value})
    assert refused.value.field == f"BUSLOG_OIDC_{variable}"
    assert "secret" not in refused.value.was
    assert "s3cret" not in str(refused.value)


def test_without_any_of_it_nobody_logs_in(configure: Configure) -> None:
    assert configure(**dict.fromkeys(GOOD, "")) is None
