"""The frame around every page: title, menu, footer, and the net under errors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import resources
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from buslog.console import access, clock, duty, markup, problems, shortcuts, words
from buslog.console.shortcuts import Shortcut
from buslog.errors import BuslogError, DatabaseUnavailable

PATHS = ("failures", "log", "key", "commands", "subscribers", "replays", "message", "audit", "alerts", "permissions")

OVERVIEW, FAILURES, LOG, KEY, COMMANDS, SUBSCRIBERS, REPLAYS, MESSAGE, AUDIT, ALERTS, PERMISSIONS = (
    f"pages/{page}.py" for page in ("overview", *PATHS)
)

_PICTURES = Path(str(resources.files("buslog.console"))) / "pictures"


def is_running() -> bool:
    """Whether this is a run of the script for a browser, not an import by a server."""
    return get_script_run_ctx(suppress_warning=True) is not None


def run() -> None:
    st.set_page_config(page_title="buslog", page_icon=str(_PICTURES / "mark.svg"), layout="wide")
    st.logo(str(_PICTURES / "logo.svg"), size="medium")
    if not access.is_known():
        _entrance()
        return
    page = st.navigation(
        [
            st.Page(OVERVIEW, title="Overview", icon=":material/monitoring:", default=True,
                    help=words.OVERVIEW_HELP),
            st.Page(FAILURES, title="Failures", icon=":material/error:",
                    help=words.FAILURES_HELP),
            st.Page(LOG, title="Log", icon=":material/list_alt:",
                    help=words.LOG_HELP),
            st.Page(KEY, title="Key", icon=":material/timeline:",
                    help=words.KEY_HELP),
            st.Page(COMMANDS, title="Commands", icon=":material/play_circle:",
                    help=words.COMMANDS_HELP),
            st.Page(SUBSCRIBERS, title="Subscribers", icon=":material/hub:",
                    help=words.SUBSCRIBERS_HELP),
            st.Page(REPLAYS, title="Replays", icon=":material/replay:",
                    help=words.REPLAYS_HELP),
            st.Page(AUDIT, title="Audit", icon=":material/fact_check:", help=words.AUDIT_HELP),
            st.Page(ALERTS, title=words.ALERTS, icon=":material/notifications:", help=words.ALERTS_HELP),
            st.Page(PERMISSIONS, title=words.PERMISSIONS, icon=":material/shield_person:", help=words.PERMISSIONS_HELP),
            st.Page(MESSAGE, title="Message", icon=":material/mail:", visibility="hidden"),
        ],
        position="top",
    )  # fmt: skip
    st.session_state["frame.arrived"] = st.session_state.get("frame.page") != page.url_path
    st.session_state["frame.page"] = page.url_path
    top = st.container()
    st.session_state[markup.TITLED] = False
    try:
        with suppress(DatabaseUnavailable):  # the page says so itself, under its title
            access.arrive()
        page.run()
    except problems.Told:
        pass
    except BuslogError as error:
        problems.show(error)
    except Exception as error:  # noqa: BLE001  (no traceback on a screen)
        problems.show_unknown(error)
    if not st.session_state[markup.TITLED]:
        top.title(page.title)
    _footer(has_duty=page.url_path != "")  # the Overview says on top who is on duty


def header(title: str) -> DeltaGenerator:
    """A page's title; gives back the place at its right, for what concerns the whole page."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title(title, width="content")
        st.session_state[markup.TITLED] = True
        return st.container(horizontal=True, vertical_alignment="center", width="content")


def refresh(*, on_click: Callable[[], None] | None = None) -> None:
    """The button that looks again."""
    st.button(words.REFRESH, icon=":material/refresh:", shortcut=Shortcut.REFRESH, on_click=on_click)


def _entrance() -> None:
    """For a session without a login. The guard lets none through; this is the second lock."""
    st.title(words.LOG_IN_TITLE)
    st.text(words.LOG_IN_WHY)
    st.button(words.LOG_IN, type="primary", on_click=st.login, key="log_in")


def _footer(*, has_duty: bool) -> None:
    st.space("medium")
    if has_duty:
        with problems.told_above():
            duty.bar(key="footer")
    with problems.shown(), st.container(horizontal=True, vertical_alignment="center", gap="small"):
        clock.switch()
        shortcuts.button()
        actor = access.who()
        as_whom = actor.name if actor.is_local else f"{actor.name} ({access.role()})"
        markup.quiet(words.FOOTER.format(zone=clock.zone(), who=as_whom, where=access.where()))
