"""The whole story of one key: /key?key=S-42. Oldest first; what of it waits or failed now is on top."""

from uuid import UUID

import streamlit as st

from buslog.console import (
    access,
    acting,
    erasing,
    exporting,
    filters,
    frame,
    keys,
    links,
    many,
    markup,
    noting,
    problems,
    words,
)
from buslog.console.shortcuts import Shortcut
from buslog.errors import InvalidFilter
from buslog.filter import Filter, Range
from buslog.insights import Count, KeyPage, Tally
from buslog.insights.keys import LAST
from buslog.notes import About

acting.say()
insights = access.insights()
key_field = insights.key_field()
key = st.query_params.get("key", "")


def turn(**place: str) -> None:
    """For a button's `on_click`: another page of the same story."""
    st.query_params.from_dict({"key": key, **place})


def look_for(typed: str) -> None:
    st.query_params.from_dict({"key": typed} if typed else {})


def search() -> None:
    # The address is the truth: Back shows in the box what it shows on the page.
    st.session_state["key.search"] = key
    st.text_input(
        words.KEY_SEARCH.format(field=key_field), key="key.search", max_chars=200, icon=":material/search:",
        on_change=lambda: look_for(st.session_state["key.search"].strip()),
    )  # fmt: skip


def place(name: str) -> UUID | None:
    text = st.query_params.get(name)
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise InvalidFilter(field=name, rule="is a message's id", was=text, mend="Go back to the oldest.") from None


def unknown() -> None:
    with st.container(border=True):
        markup.title(words.KEY_UNKNOWN.format(field=key_field), quiet=key)
        near, others = [], Count(0)
        with problems.shown():
            others = insights.count(by_ref := Filter(find=(key,), range=Range.ALL))
            near = [] if others else insights.near_keys(key)
        if others:
            st.page_link(
                frame.LOG, label=words.KEY_IS_A_REF.format(messages=words.plural(others.value, "message")),
                icon=":material/manage_search:", query_params=filters.explicit(by_ref),
            )  # fmt: skip
        elif near:
            markup.quiet(words.KEY_DID_YOU_MEAN)
            with st.container(horizontal=True):
                for like in near:
                    st.button(markup.literal(like), key=f"near.{like}", on_click=look_for, args=(like,))
        else:
            markup.quiet(words.KEY_NOTHING_LIKE)


def pager(page: KeyPage, at: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(words.KEY_OLDEST, icon=":material/first_page:", disabled=not page.has_older, on_click=turn,
                  key=f"oldest.{at}")  # fmt: skip
        st.button(words.KEY_OLDER, icon=":material/chevron_left:", disabled=not page.has_older, on_click=turn,
                  kwargs={"before": str(page.messages[0].id)}, key=f"older.{at}",
                  shortcut=Shortcut.OLDER if at == "above" else None)  # fmt: skip
        st.button(words.KEY_NEWER, icon=":material/chevron_right:", disabled=not page.has_newer, on_click=turn,
                  kwargs={"after": str(page.messages[-1].id)}, key=f"newer.{at}",
                  shortcut=Shortcut.NEWER if at == "above" else None)  # fmt: skip
        st.button(words.KEY_NEWEST, icon=":material/last_page:", disabled=not page.has_newer, on_click=turn,
                  kwargs={"before": str(LAST)}, key=f"newest.{at}",
                  shortcut=Shortcut.NEWEST if at == "above" else None)  # fmt: skip


def head(tally: Tally) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        markup.heading(key, before=key_field)
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            address = links.outside(key)
            if address:
                outside = markup.link(address, words.OPEN_OUTSIDE.format(key=key), is_outside=True)
                st.html(outside, width="content")
            params = filters.explicit(filter_)
            st.page_link(frame.LOG, label=words.IN_THE_LOG, icon=":material/manage_search:", query_params=params)
            exporting.menu(filter_, words.ALL_OF_KEY)
    told = f"{tally.messages:,}{'+' if tally.rows.is_capped else ''}"
    markup.quiet(words.KEY_OF_MESSAGES.format(count=f"{told} message{'' if told == '1' else 's'}"))


def tell(page: KeyPage) -> None:
    notes = insights.notes(About.KEY, key)
    with problems.shown():
        keys.now(insights.key_now(key), key)
    with problems.shown():
        keys.commands(insights.commands(), key, key_field)
    many.buttons(filter_, label=words.ALL_MATCHING_OF_KEY.format(key=markup.literal(key)))
    left, right = st.columns([7, 3], gap="medium")
    with right:
        st.subheader(words.NOTES)
        noting.show(About.KEY, key)
    with left:
        st.subheader(words.KEY_STORY)
        markup.quiet(words.KEY_STORY_MORE)
        if page.has_older or page.has_newer:
            pager(page, "above")
        keys.show(page, notes)
        if page.has_older or page.has_newer:
            pager(page, "below")
    erasing.zone(key)


filter_ = Filter(key=key or None, range=Range.ALL)
if not key:
    frame.header(words.KEY)
    search()
    with st.container(border=True):
        markup.title(words.KEY_ASK, quiet=words.KEY_ASK_MORE.format(field=key_field))
else:
    search()
    page = insights.key_page(key, after=place("after"), before=place("before"))
    if page.messages:
        head(insights.tally(filter_))
        tell(page)
    elif page.has_older or page.has_newer:
        st.button(words.KEY_NOTHING_MORE, on_click=turn)
    else:
        unknown()
