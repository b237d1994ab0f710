"""The page "Your permissions": who somebody is, the table of rights, and the roles of everybody."""

from __future__ import annotations

from datetime import datetime, timedelta

import streamlit as st

from buslog.console import access, acting, clock, lists, login, markup, words
from buslog.errors import BuslogError
from buslog.insights import Person
from buslog.rights import RIGHTS, Role

_LOGIN_DECIDES = words.LOGIN_DECIDES


def show_self() -> None:
    """Who acts here, with which role, and where it comes from."""
    actor, role = access.who(), access.role()
    mark, meaning = words.ROLES[role]
    me = None if actor.is_local else access.insights().person(actor.name)
    with st.container(border=True), st.container(horizontal=True, vertical_alignment="center", gap="large"):
        with st.container(width="stretch"):
            markup.title(actor.name, quiet=me.name if me else "")
            markup.facts(
                [
                    (words.ROLE, f"{mark} {role}: {meaning}"),
                    (words.ROLE_FROM, _source(me)),
                    (words.HOW_TO_GET_MORE, "" if role is Role.ADMIN else words.ASK_AN_ADMIN),
                ]
            )
        if login.configured() is not None:
            st.button(words.LOG_OUT, icon=":material/logout:", on_click=access.log_out, key="log_out")


def _source(me: Person | None) -> str:
    if me is None:
        return words.FROM_THIS_MACHINE if login.configured() is None else words.FROM_NOTHING
    if me.given:
        return words.FROM_HAND
    return words.FROM_LOGIN if me.claimed is not Role.VIEWER else words.FROM_NOTHING


def show_rights() -> None:
    """The table of rights, with yes and no for the role of this session."""
    st.subheader(words.WHAT_YOU_MAY)
    role = access.role()
    lists.rights_list(
        [
            (words.VERBS[verb], words.MAY if role.covers(least) else words.MAY_NOT, f"{words.ROLES[least][0]} {least}")
            for verb, least in RIGHTS.items()
        ]
    )


def show_everybody() -> None:
    """Who has which role. An admin may change it."""
    st.subheader(words.PEOPLE)
    found = access.insights().people()
    if found:
        lists.people_list(
            [
                (p.person, p.name, f"{words.ROLES[p.role][0]} {p.role}", words.BY_HAND if p.given else words.BY_LOGIN,
                 _ago(p.last_seen))
                for p in found
            ]
        )  # fmt: skip
    else:
        markup.quiet(words.NOBODY_YET)
    _give_a_role([person.person for person in found])


def _ago(moment: datetime | None) -> str:
    if moment is None:
        return words.NEVER_SEEN
    return words.JUST_NOW if clock.now() - moment < timedelta(minutes=1) else clock.ago(moment)


def _give_a_role(known: list[str]) -> None:
    why_not = access.may("set role")
    with st.form("set_role", clear_on_submit=True):
        markup.title(words.GIVE_A_ROLE, quiet=words.GIVE_A_ROLE_HELP)
        person = st.selectbox(
            words.PERSON, known, index=None, accept_new_options=True, placeholder=words.PERSON_HINT,
            disabled=bool(why_not), format_func=markup.literal,
        )  # fmt: skip
        role = st.selectbox(words.ROLE, [*Role, _LOGIN_DECIDES], index=None, placeholder=words.CHOOSE,
                            disabled=bool(why_not))  # fmt: skip
        reason = st.text_input(words.REASON, max_chars=200, disabled=bool(why_not))
        sent = st.form_submit_button(words.GIVE, type="primary", disabled=bool(why_not), help=why_not or None)
    if why_not:
        markup.quiet(why_not)
    if sent:
        _set_role(person, role, reason)


def _set_role(person: str | None, role: str | None, reason: str) -> None:
    if not person or not role:
        st.warning(words.PERSON_AND_ROLE)
        return
    try:
        access.people().set_role(person, None if role == _LOGIN_DECIDES else Role(role), reason=reason)
    except BuslogError as error:
        acting.remember(error)
    else:
        acting.remember(words.role_given(markup.literal(person), role))
    st.rerun()
