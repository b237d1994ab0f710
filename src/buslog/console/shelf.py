"""The saved views beside a filter bar: choose one, save the filter of now, rename, delete."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import streamlit as st

from buslog.console import access, acting, filter_links, markup, problems, words
from buslog.errors import BuslogError
from buslog.filter import Filter
from buslog.insights import SavedView


def show(page: str, filter_: Filter) -> None:
    """The picker. A view that is chosen becomes the page's filter."""
    key = f"{page}.views"
    with st.popover(words.VIEWS, icon=":material/bookmark:", key=key, help=words.VIEWS_HOW, width="stretch"):
        try:
            found = access.insights().views(access.who().name)
        except BuslogError:
            found = []  # the page says itself that the database is down
        for number, view in enumerate(found):
            _choice(view, f"{key}.{number}")
        if not found:
            markup.quiet(words.NO_VIEWS)
        own = [view for view in found if view.who == access.who().name]
        not_saved = access.may("save view") or ("" if filter_.is_narrow else words.SAVE_VIEW_HOW)
        saves = st.button(
            words.SAVE_VIEW, key=f"{key}.save", icon=":material/add:", type="tertiary", disabled=bool(not_saved),
            help=not_saved or None,
        )  # fmt: skip
        not_managed = access.may("rename view") or ("" if own else words.MANAGE_VIEWS_HOW)
        manages = st.button(
            words.MANAGE_VIEWS, key=f"{key}.manage", icon=":material/edit:", type="tertiary",
            disabled=bool(not_managed), help=not_managed or None,
        )  # fmt: skip
    if saves:
        _save(filter_, secrets.token_hex(8))
    if manages:
        _manage(own, secrets.token_hex(8))


def _choice(view: SavedView, key: str) -> None:
    who = access.who().name
    more = f"  ·  {words.SHARED_BY.format(who=view.who)}" if view.who != who else ""
    st.button(
        markup.literal(f"{view.name}{more}"), key=key, on_click=_open, args=(view,), type="tertiary",
        icon=":material/group:" if view.is_shared else ":material/person:",
    )  # fmt: skip


def _open(view: SavedView) -> None:
    try:
        st.query_params.from_dict(filter_links.params_of(view.filter))
    except BuslogError as error:
        acting.remember(error)


@st.dialog(words.SAVE_VIEW.rstrip(" …"), icon=":material/bookmark:")
def _save(filter_: Filter, token: str) -> None:
    with st.form("shelf.form", border=False):
        name = st.text_input(words.VIEW_NAME, key="shelf.name", max_chars=100)
        is_shared = st.checkbox(words.VIEW_SHARED, key="shelf.shared")
        markup.quiet(words.VIEW_RELATIVE)
        pressed = st.form_submit_button(words.SAVE, type="primary")
    if pressed:
        _act(token, words.SAVED.format(name=name.strip()),
             lambda: access.views().save(name, filter_, is_shared=is_shared))  # fmt: skip


@st.dialog(words.MANAGE_VIEWS.rstrip(" …"), icon=":material/bookmark:")
def _manage(own: list[SavedView], token: str) -> None:
    view = st.selectbox(words.VIEW_CHOSEN, own, key="shelf.chosen", format_func=lambda view: view.name, required=True)
    name = st.text_input(words.NEW_NAME, key="shelf.renamed", placeholder=view.name or "", max_chars=100)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(words.DELETE, key="shelf.delete", icon=":material/delete:"):
            _act(token, words.DELETED.format(name=view.name), lambda: access.views().delete(view.id))
        if st.button(words.RENAME, key="shelf.rename", type="primary", disabled=not name.strip()):
            _act(token, words.RENAMED.format(name=name.strip()),
                 lambda: access.views().rename(view.id, name))  # fmt: skip


def _act(token: str, said: str, act: Callable[[], Any]) -> None:
    """Once for a dialog, however often it is clicked. A refusal is said in the dialog, which stays."""
    if not acting.is_done(token):
        try:
            act()
        except BuslogError as error:
            problems.show(error)
            return
        acting.mark_done(token)
        acting.remember(said)
    st.rerun()
