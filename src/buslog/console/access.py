"""Which database the dashboard looks at, as whom it acts, and what they may do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from uuid import UUID

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from buslog import db
from buslog.alerts import Alerts
from buslog.console import login, words
from buslog.desk import Actor
from buslog.duty import Duty
from buslog.errors import BuslogError, NotPermitted, RoleTooLow
from buslog.export import Exports
from buslog.groups import Groups
from buslog.insights import Insights
from buslog.notes import Notes
from buslog.operations import Operations
from buslog.people import People
from buslog.privacy import Privacy
from buslog.reemission import Reemission
from buslog.registrations import Registrations
from buslog.replays import Replays
from buslog.rights import Role, least_role
from buslog.views import Views

_log = logging.getLogger("buslog.dashboard")

_STARTED = datetime.now(UTC)
_ARRIVED = "access.arrived"
_ROLE = "access.role"
_UNMASKED = "access.unmasked"

_lock = threading.Lock()
_dsn: str | None = None
_held: db.Database | None = None
_is_open = False


def use(dsn: str) -> None:
    """The database of this process from now on."""
    global _dsn  # noqa: PLW0603  (one server, one database)
    _dsn = dsn


def dsn() -> str:
    """The database given to `use`; otherwise the settings', held as long as the process lives."""
    global _held  # noqa: PLW0603
    if _dsn is not None:
        return _dsn
    with _lock:
        if _held is None:
            _held = db.Database()
        return _held.dsn


def insights() -> Insights:
    """The reads, as this session may see them: masked, but for the messages that were unmasked in it."""
    reads, seen = _insights(dsn()), unmasked()
    return reads.unmasking(seen) if seen else reads


def operations() -> Operations:
    return Operations(dsn(), who())


def exports(cookies: dict[str, str]) -> Exports:
    """For a request that no session made: its login's cookie says who asks. Raises like `who`."""
    return Exports(dsn(), _actor(lambda configured: configured.claims_of(cookies)))


def groups() -> Groups:
    return Groups(dsn(), who())


def alerts() -> Alerts:
    return Alerts(dsn(), who())


def registrations() -> Registrations:
    return Registrations(dsn(), who())


def replays() -> Replays:
    return Replays(dsn(), who())


def people() -> People:
    return People(dsn(), who())


def notes() -> Notes:
    return Notes(dsn(), who())


def reemission() -> Reemission:
    return Reemission(dsn(), who())


def let_anybody_in(is_open: bool) -> None:
    """Whether the dashboard was told to be insecure: then nobody knows who acts."""
    global _is_open  # noqa: PLW0603  (one server)
    _is_open = is_open


def privacy(actor: Actor | None = None) -> Privacy:
    return Privacy(dsn(), actor or who())


def duty() -> Duty:
    return Duty(dsn(), who())


def unmask(message_id: UUID, reason: str) -> None:
    """Unmask a message for this session. Raises what `Privacy.unmask` does."""
    privacy().unmask(message_id, reason=reason)
    st.session_state[_UNMASKED] = st.session_state.get(_UNMASKED, frozenset()) | {(who().name, message_id)}


def unmasked() -> frozenset[UUID]:
    """The messages that were unmasked in this session; outside of one, none."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return frozenset()
    found: frozenset[tuple[str, UUID]] = st.session_state.get(_UNMASKED, frozenset())
    # Whoever may no longer unmask no longer sees what they did unmask.
    return (
        frozenset(message for person, message in found if person == who().name)
        if found and not may("unmask")
        else frozenset()
    )


def views() -> Views:
    return Views(dsn(), who())


def who() -> Actor:
    """Whoever acts in this session: by their login; where there is none, everybody at this machine is one person.

    Raises `RoleTooLow` for somebody who has not logged in.
    """
    return _actor(lambda _: _claims())


def _actor(claims_of: Callable[[login.Login], login.Claims | None]) -> Actor:
    configured = login.configured()
    if configured is None:
        return Actor("local:anybody", "dashboard") if _is_open else _local()
    claims = claims_of(configured)
    if claims is None:
        raise RoleTooLow(field="login", rule="is there", was="nobody", mend=words.LOG_IN_FIRST)
    return Actor(configured.person_of(claims), "dashboard")


def who_asks(cookies: dict[str, str]) -> Actor:
    """The same for a route, which has no session: by the cookie of the login. Raises `RoleTooLow`."""
    configured = login.configured()
    if configured is None:
        return Actor("local:anybody", "dashboard") if _is_open else _local()
    claims = configured.claims_of(cookies)
    if claims is None:
        raise RoleTooLow(field="login", rule="is there", was="nobody", mend=words.LOG_IN_FIRST)
    return Actor(configured.person_of(claims), "dashboard")


def is_known() -> bool:
    """Whether somebody has logged in, or there is no login."""
    return login.configured() is None or _claims() is not None


def arrive() -> None:
    """At the beginning of every run: a new session's login is noted, and its role is looked up anew."""
    look_again()
    configured, actor = login.configured(), who()
    if configured is None:
        _arrive_here(dsn())
    elif st.session_state.get(_ARRIVED) != actor.name:
        claims = _claims() or {}
        name = "".join(filter(str.isprintable, str(claims.get("name") or "")))[:200]
        people().arrive(name=name, claimed=configured.role_of(claims), claimed_at=login.claimed_at(claims))
        st.session_state[_ARRIVED] = actor.name


@cache  # once for this process; what raises is asked again
def _arrive_here(dsn: str) -> None:
    with suppress(NotPermitted):  # a role of the database that only reads
        People(dsn, who()).arrive_here(_STARTED)


def log_out() -> None:
    """For a button's `on_click`. Somebody who wants to leave leaves, also where the audit cannot say so."""
    try:
        people().leave()
    except BuslogError as error:
        _log.warning("a log out is not in the audit: %s", error)
    st.logout()


def look_again() -> None:
    """What the role is, buttons ask anew."""
    st.session_state.pop(_ROLE, None)


def role() -> Role:
    """The role that buttons show, as of the beginning of this run. What counts, each operation asks for itself."""
    if _ROLE not in st.session_state:
        actor = who()
        found = None if actor.is_local else insights().person(actor.name)
        st.session_state[_ROLE] = Role.ADMIN if actor.is_local else found.role if found else Role.VIEWER
    known: Role = st.session_state[_ROLE]
    return known


def may(verb: str, demanded: Role | None = None) -> str:
    """Empty; or why somebody of this role may not do it. `demanded`: what a command asks for."""
    least = least_role(verb, demanded)
    return "" if role().covers(least) else words.denied(verb, role(), least)


def _claims() -> login.Claims | None:
    claims = st.user.to_dict()
    return claims if claims.get("is_logged_in") else None


@cache
def _local() -> Actor:
    return Actor.local("dashboard")


def where() -> str:
    """The database, for people: never its password."""
    return db.describe(dsn())


def close() -> None:
    """Gives back the connections, and the database if it was opened here."""
    global _held  # noqa: PLW0603
    if _insights.cache_info().currsize:
        _insights(dsn()).close()
        _insights.cache_clear()
    with _lock:
        if _held is not None:
            _held.close()
            _held = None


@cache
def _insights(dsn: str) -> Insights:
    return Insights(dsn)
