"""The dialogs of the page "Alerts": a rule, new or changed, and the removal of one; each saves once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time, timedelta
from typing import Any

import streamlit as st

from buslog.alerting import channels
from buslog.alerting.model import Quiet, Rule, RuleKind
from buslog.alerting.texts import lasted
from buslog.config import settings
from buslog.console import access, markup, once, words
from buslog.errors import InvalidRule

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_WINDOWS = (5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR, _DAY)
_FORGETTING = (_DAY, 7 * _DAY, 30 * _DAY, 365 * _DAY)
_REMINDERS = (15 * _MINUTE, _HOUR, 4 * _HOUR, _DAY)
_DIALOG = "alert"


def change(rule: Rule | None) -> None:
    """Opens the dialog of a rule; None: of a new one."""
    once.opened(_DIALOG)
    title = words.ALERT_RULE if rule else words.ALERT_NEW_TITLE
    st.dialog(title, width="medium", icon=":material/notifications:")(_rule)(rule)


def remove(rule: Rule) -> None:
    """Asks whether it is meant."""
    once.opened(_DIALOG)
    _removal(rule)


def _rule(rule: Rule | None) -> None:
    once.shown(_DIALOG)
    key = f"alert.{rule.name if rule else ''}"
    kinds = list(RuleKind)
    kind: RuleKind = st.selectbox(
        words.ALERT_KIND, kinds, index=kinds.index(rule.kind if rule else RuleKind.NO_WORKER), key=f"{key}.kind",
        format_func=lambda one: words.ALERT_KINDS[one][0],
    )  # fmt: skip
    markup.quiet(words.ALERT_KINDS[kind][1])
    if rule is None:
        st.text_input(words.ALERT_NAME, key=f"{key}.name", max_chars=200)
    _ask_condition(rule if rule and rule.kind is kind else None, kind, key)
    _ask_telling(rule, key)
    st.text_input(words.REASON, key=f"{key}.reason", max_chars=200)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(words.ALERT_LEAVE, key=f"{key}.leave"):
            st.rerun()
        st.button(words.ALERT_SAVE, type="primary", key=f"{key}.save", on_click=_save, args=(rule, key))


def _ask_condition(rule: Rule | None, kind: RuleKind, key: str) -> None:
    names = access.insights().subscription_names()
    mine = rule.subscription if rule else None
    whose = [None, *sorted({*names, *([mine] if mine else [])})]
    st.selectbox(
        words.ALERT_SUBSCRIBER, whose, index=whose.index(mine), key=f"{key}.subscription",
        format_func=lambda name: name or words.ALERT_ALL_SUBSCRIBERS,
    )  # fmt: skip
    threshold = rule.threshold if rule else None
    match kind:
        case RuleKind.FAILURE_RATE:
            left, middle, right = st.columns(3)
            with left:
                st.number_input(words.ALERT_PERCENT, 0.1, 100.0, (threshold or 0.1) * 100, step=1.0, format="%g",
                                key=f"{key}.percent")  # fmt: skip
            with middle:
                st.number_input(words.ALERT_AT_LEAST, 1, 1_000_000, rule.at_least if rule else 5,
                                key=f"{key}.at_least")  # fmt: skip
            with right:
                _choose(words.ALERT_WINDOW, _WINDOWS, rule.window if rule else _WINDOWS[1], f"{key}.window")
        case RuleKind.NEW_GROUP:
            _choose(words.ALERT_UNSEEN_FOR, _FORGETTING, rule.window if rule else _FORGETTING[1], f"{key}.unseen_for")
        case RuleKind.BACKLOG_AGE:
            st.number_input(words.ALERT_MINUTES, 0.1, 1440.0, (threshold or 300.0) / 60, step=1.0, format="%g",
                            key=f"{key}.minutes")  # fmt: skip
        case RuleKind.NO_WORKER:
            st.number_input(words.ALERT_SECONDS, 1.0, 86_400.0, threshold or 60.0, step=10.0, format="%g",
                            key=f"{key}.seconds")  # fmt: skip


def _ask_telling(rule: Rule | None, key: str) -> None:
    here = channels.configured().names
    mine = list(rule.channels) if rule else here
    st.multiselect(words.ALERT_TO, sorted({*here, *mine}), mine, key=f"{key}.channels", accept_new_options=True,
                   placeholder=words.ALERT_TO_NOBODY_YET,
                   help=words.ALERT_TO_HELP)  # fmt: skip
    remind = rule.remind if rule else _REMINDERS[2]
    _choose(words.ALERT_AGAIN, _REMINDERS, remind, f"{key}.remind", or_never=True)
    quiet = rule.quiet if rule else None
    if st.toggle(words.ALERT_HAS_QUIET, value=quiet is not None, key=f"{key}.is_quiet", help=words.ALERT_QUIET_HELP):
        left, middle, right = st.columns(3)
        with left:
            st.time_input(words.ALERT_FROM, quiet.start if quiet else time(22), key=f"{key}.from")
        with middle:
            st.time_input(words.ALERT_UNTIL, quiet.end if quiet else time(7), key=f"{key}.until")
        with right:
            st.text_input(words.ALERT_ZONE, quiet.zone if quiet else settings().tz, key=f"{key}.zone", max_chars=60)


def _choose(
    label: str, usual: Sequence[timedelta], mine: timedelta | None, key: str, *, or_never: bool = False
) -> None:
    """One of the usual times, or the one that is chosen already."""
    options: list[timedelta | None] = [*sorted({*usual, *([mine] if mine else [])}), *([None] if or_never else [])]
    st.selectbox(
        label, options, index=options.index(mine), key=key,
        format_func=lambda one: words.ALERT_AGAIN_NEVER if one is None else lasted(one),
    )  # fmt: skip


def _typed(rule: Rule | None, key: str) -> Rule:
    """The rule as the dialog has it. What was typed last arrives together with the click: it is in the session, not
    yet in what the dialog was drawn with. Raises `InvalidRule`.
    """

    def given(name: str, otherwise: Any = None) -> Any:
        return st.session_state.get(f"{key}.{name}", otherwise)

    usual = rule or Rule("new", RuleKind.NEW_GROUP)
    kind = RuleKind(given("kind"))
    thresholds = {
        RuleKind.FAILURE_RATE: round(given("percent", 0.0) / 100, 6),
        RuleKind.BACKLOG_AGE: round(given("minutes", 0.0) * 60, 3),
        RuleKind.NO_WORKER: given("seconds", 0.0),
    }
    quiet = Quiet(given("from"), given("until"), str(given("zone")).strip()) if given("is_quiet") else None
    return Rule(
        rule.name if rule else str(given("name", "")).strip(), kind, thresholds.get(kind, 0.0),
        given("unseen_for" if kind is RuleKind.NEW_GROUP else "window", usual.window),
        given("at_least", usual.at_least), given("subscription"), tuple(given("channels", ())), quiet, given("remind"),
        usual.enabled,
    )  # fmt: skip


def _save(rule: Rule | None, key: str) -> None:
    try:
        made = _typed(rule, key)
    except InvalidRule as error:
        once.act(_DIALOG, markup.literal(str(error)), str)
        return
    reason = str(st.session_state.get(f"{key}.reason") or "")

    def deed() -> str:
        access.alerts().set_rule(made, is_new=rule is None, reason=reason)
        return words.ALERT_SAVED.format(name=markup.literal(made.name))

    once.act(_DIALOG, "", deed)


@st.dialog(words.ALERT_REMOVE_TITLE, width="small", icon=":material/delete:")
def _removal(rule: Rule) -> None:
    once.shown(_DIALOG)
    markup.title(rule.name, quiet=words.ALERT_REMOVE_MORE)
    st.text_input(words.REASON, key=f"remove.{rule.name}.reason", max_chars=200)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(words.ALERT_LEAVE, key=f"remove.{rule.name}.leave"):
            st.rerun()
        st.button(words.ALERT_REMOVE, type="primary", key=f"remove.{rule.name}.confirm", on_click=_remove,
                  args=(rule,))  # fmt: skip


def _remove(rule: Rule) -> None:
    reason = str(st.session_state.get(f"remove.{rule.name}.reason") or "")

    def deed() -> str:
        access.alerts().remove_rule(rule.name, reason=reason)
        return words.ALERT_REMOVED.format(name=markup.literal(rule.name))

    once.act(_DIALOG, "", deed)
