"""Who did what, when, why and to which. One row of it is /audit?operation=…."""

import json

import streamlit as st

from buslog.console import access, acting, auditing, clock, frame, lists, markup, routes, terminal, words
from buslog.console.filters import PAGE_PARAMETERS
from buslog.console.shortcuts import Shortcut
from buslog.errors import NotFound
from buslog.insights import AuditCursor, AuditFilter, AuditPage

bar = auditing.AuditBar()
acting.say()
insights = access.insights()


def listed() -> None:
    actions = frame.header("Audit")
    filter_ = bar.show()
    cursors = {name: AuditCursor.parse(st.query_params[name]) for name in PAGE_PARAMETERS if name in st.query_params}
    page = insights.audit(filter_, older_than=cursors.get("older"), newer_than=cursors.get("newer"))
    if not page.rows:
        nothing(filter_, is_beyond=bool(cursors))
        return
    with actions:
        frame.refresh()
        markup.download(words.EXPORT_CSV, routes.audit_address(filter_), help_=words.AUDIT_EXPORT_HELP)
    lists.audit_list(page.rows, key_field=insights.key_field())
    pager(page, is_newest=not cursors)


def nothing(filter_: AuditFilter, *, is_beyond: bool) -> None:
    """Three kinds of nothing: nothing yet, nothing of this time, nothing like this."""
    with st.container(border=True):
        if is_beyond:
            st.button(words.NO_AUDIT_HERE, on_click=bar.turn)
        elif insights.audit_exists(filter_):
            markup.title(words.NO_AUDIT_IN_TIME, quiet=words.NO_AUDIT_IN_TIME_MORE)
            st.button(words.SHOW_ALL, type="primary", on_click=bar.change, args=(filter_.ever(),))
        elif filter_.is_narrow:
            markup.title(words.NO_AUDIT_MATCH, quiet=words.NO_AUDIT_MATCH_MORE)
            st.button(words.SHOW_EVERYTHING, type="primary", on_click=bar.change, args=(AuditFilter().ever(),))
        else:
            markup.title(words.NO_AUDIT_YET, quiet=words.NO_AUDIT_YET_MORE)


def pager(page: AuditPage, *, is_newest: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Newest", icon=":material/first_page:", disabled=is_newest, on_click=bar.turn,
                  shortcut=Shortcut.NEWEST)  # fmt: skip
        st.button("Newer", icon=":material/chevron_left:", disabled=page.newer is None, on_click=bar.turn,
                  kwargs={"newer": str(page.newer)}, shortcut=Shortcut.NEWER)  # fmt: skip
        st.button("Older", icon=":material/chevron_right:", disabled=page.older is None, on_click=bar.turn,
                  kwargs={"older": str(page.older)}, shortcut=Shortcut.OLDER)  # fmt: skip
        markup.quiet(words.AUDIT_ONLY_GROWS)


def opened(number: str) -> None:
    st.button(words.ALL_OPERATIONS, icon=":material/arrow_back:", type="tertiary", on_click=bar.go_back)
    row = insights.operation(int(number)) if number.isascii() and number.isdecimal() and len(number) < 19 else None  # noqa: PLR2004
    if row is None:
        raise NotFound(field="operation", rule="is in the audit", was=number[:40], mend=words.NO_SUCH_OPERATION)
    markup.heading(row.verb, before="Operation")
    if row.is_denied:
        st.badge(words.DENIED_LABEL, color="red", help=words.DENIED_HELP)
    markup.facts(
        [
            ("Who", row.actor),
            (f"When ({clock.zone()})", clock.to_the_millisecond(row.at)),
            ("Why", row.reason or ""),
            ("Message", row.name or ""),
            (insights.key_field(), row.key or ""),
            ("Subscriber", row.subscription or ""),
            ("What came of it", auditing.said(row)),
        ]
    )
    if row.message_id:
        st.page_link(
            frame.MESSAGE, label=words.OPEN_MESSAGE, icon=":material/mail:", query_params={"id": str(row.message_id)}
        )
    line = terminal.cli_line(
        row.verb, message_id=row.message_id, subscription=row.subscription, reason=row.reason, outcome=row.outcome
    )
    markup.quiet(words.FROM_A_TERMINAL if line else words.NO_TERMINAL_LINE)
    if line:
        st.code(line, language="bash", wrap_lines=True)
    with st.expander(words.AS_STORED):
        st.code(json.dumps(row.outcome, indent=4, ensure_ascii=False), language="json", wrap_lines=True)


if auditing.OPERATION in st.query_params:
    opened(st.query_params[auditing.OPERATION])
else:
    listed()
