"""The page "Alerts": a rule in a sentence, its state now, and the history of what was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import streamlit as st

from buslog.alerting import channels
from buslog.alerting.model import KeptRule, Rule, RuleKind
from buslog.alerting.texts import lasted, where
from buslog.config import settings
from buslog.console import access, acting, alert_dialogs, clock, frame, markup, numbers, problems, words
from buslog.errors import BuslogError
from buslog.insights import Alert, LastLook, Notice

SHOWN = 20  # alerts on a page
NOTICES_SHOWN = 12  # of an alert; the newest
STALE = timedelta(minutes=2)
_MINUTE = timedelta(minutes=1)
_TESTED = "alert.tested"  # channel, what was wrong, when
_PAGES = {"": frame.OVERVIEW, "log": frame.LOG, "failures": frame.FAILURES}


def new_button() -> None:
    denied = access.may("set alert")
    if st.button(words.ALERT_NEW, key="alert.new", icon=":material/add:", type="primary", disabled=bool(denied),
                 help=denied or words.ALERT_NEW_HELP):  # fmt: skip
        alert_dialogs.change(None)


# ── what is ─────────────────────────────────────────────────────────────────────


def show_look(look: LastLook, rules: Sequence[KeptRule]) -> None:
    """Whether anybody looks at the rules: a rule that nobody looks at is worse than none."""
    if not any(kept.rule.enabled for kept in rules):
        return
    if look.at is None or clock.now() - look.at > max(STALE, timedelta(seconds=4 * settings().alert_every)):
        ago = clock.ago(look.at) if look.at else words.ALERT_NEVER
        st.warning(f"{words.NOBODY_LOOKS} {words.NOBODY_LOOKS_MORE.format(ago=ago)}", icon=":material/warning:")
        return
    took = clock.lasted(look.took) if look.took is not None else ""
    markup.quiet(words.LOOKED_AT.format(ago=clock.ago(look.at), by=look.by, took=took))


def show_rules(rules: Sequence[KeptRule], look: LastLook) -> None:
    if not rules:
        with st.container(border=True):
            markup.title(words.NO_ALERT_RULES, quiet=words.NO_ALERT_RULES_MORE)
    for kept in sorted(rules, key=lambda kept: (not kept.firing_since, not kept.rule.enabled)):
        _show_rule(kept, look)


def _show_rule(kept: KeptRule, look: LastLook) -> None:
    rule = kept.rule
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            markup.title(rule.name, quiet=sentence(rule))
            label, color = _state(kept)
            st.badge(label, color=color)
        fired = clock.ago(kept.last_fired) if kept.last_fired else words.ALERT_NEVER
        quiet = rule.quiet
        facts = [
            (words.ALERT_NOW, _figure(kept, look) if rule.enabled and kept.checked_at else ""),
            (words.ALERT_LAST, fired),
            (words.ALERT_CHANNELS, ", ".join(rule.channels) or words.ALERT_TO_NOBODY),
            (words.ALERT_REMIND, f"every {lasted(rule.remind)}" if rule.remind else words.ALERT_ONCE),
            (words.ALERT_QUIET, f"{quiet.start:%H:%M} – {quiet.end:%H:%M} {quiet.zone}" if quiet else ""),
        ]
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            with st.container(width="stretch"):
                markup.facts(facts)
            _buttons(kept)


def sentence(rule: Rule) -> str:
    """What a rule says, for people."""
    of = f" of {rule.subscription}" if rule.subscription else ""
    match rule.kind:
        case RuleKind.FAILURE_RATE:
            least = words.plural(rule.at_least, "failure")
            share = f"{rule.threshold * 100:g} % or more of the deliveries{of}"
            return f"{share} fail within {lasted(rule.window)}, with at least {least}"
        case RuleKind.BACKLOG_AGE:
            return f"A delivery{of} that is due has been waiting for a worker for {_seconds(rule.threshold)} or more"
        case RuleKind.NEW_GROUP:
            return f"A delivery{of} fails for a cause that was never seen, or not for {lasted(rule.window)}"
        case RuleKind.NO_WORKER:
            whose = f" that hosts {rule.subscription}" if rule.subscription else ""
            return f"There has been no live worker{whose} for {_seconds(rule.threshold)}"


def _state(kept: KeptRule) -> tuple[str, words.Color]:
    if not kept.rule.enabled:
        return words.ALERT_IS_OFF, "gray"
    if kept.firing_since:
        return f"{words.ALERT_FIRING} for {clock.lasted(clock.now() - kept.firing_since)}", "red"
    return (words.ALERT_WELL, "green") if kept.checked_at else (words.ALERT_UNSEEN, "gray")


def _figure(kept: KeptRule, look: LastLook) -> str:
    figure = kept.figure
    match kept.rule.kind:
        case RuleKind.FAILURE_RATE:
            return words.ALERT_NOTHING_ENDED if figure is None else _share(
                kept.rule, figure, look, is_firing=kept.true_since is not None
            )  # fmt: skip
        case RuleKind.BACKLOG_AGE:
            return words.ALERT_NOTHING_WAITS if figure is None else f"waiting for {_seconds(figure)}"
        case RuleKind.NO_WORKER:
            return f"none for {_seconds(figure)}" if figure else "there is one"
        case RuleKind.NEW_GROUP:
            return ""


def _share(rule: Rule, figure: float, look: LastLook, *, is_firing: bool) -> str:
    """A share of failures, and why it is none to be told of: too few, or counted for less than the window."""
    told = words.ALERT_SHARE.format(share=numbers.share(figure))
    if figure >= rule.threshold and not is_firing:
        told = words.ALERT_TOO_FEW.format(told=told, failures=words.plural(rule.at_least, "failure"))
    since = look.counting_since
    if since and clock.now() - since < rule.window:
        told = words.ALERT_COUNTED.format(told=told, time=lasted(clock.now() - since))
    return told


def _seconds(number: float) -> str:
    return lasted(timedelta(seconds=number))


def _buttons(kept: KeptRule) -> None:
    rule = kept.rule
    denied, cannot_remove = access.may("set alert"), access.may("remove alert")
    if kept.firing_since:
        page, filter_ = where(rule)
        st.page_link(_PAGES[page], label=words.ALERT_SEE, icon=":material/arrow_forward:",
                     query_params=filter_.to_params() if page else {})  # fmt: skip
    st.button(words.ALERT_HISTORY, key=f"history.{rule.name}", icon=":material/history:", type="tertiary",
              on_click=_show_history_of, args=(rule.name,))  # fmt: skip
    if st.button(words.ALERT_EDIT, key=f"edit.{rule.name}", icon=":material/edit:", disabled=bool(denied),
                 help=denied or None):  # fmt: skip
        alert_dialogs.change(rule)
    st.button(
        words.ALERT_OFF if rule.enabled else words.ALERT_ON, key=f"switch.{rule.name}.{rule.enabled}",
        icon=":material/notifications_off:" if rule.enabled else ":material/notifications_active:",
        disabled=bool(denied), help=denied or None, on_click=_switch, args=(rule,),
    )  # fmt: skip
    if st.button(words.ALERT_REMOVE, key=f"remove.{rule.name}", icon=":material/delete:",
                 disabled=bool(cannot_remove), help=cannot_remove or None):  # fmt: skip
        alert_dialogs.remove(rule)


def _show_history_of(name: str | None) -> None:
    st.query_params.from_dict({"rule": name} if name else {})


def _switch(rule: Rule) -> None:
    changed = replace(rule, enabled=not rule.enabled)
    try:
        access.alerts().set_rule(changed)
    except BuslogError as error:
        acting.remember(error)
        return
    said = words.ALERT_SWITCHED_ON if changed.enabled else words.ALERT_SWITCHED_OFF
    acting.remember(said.format(name=markup.literal(rule.name)))


# ── channels ────────────────────────────────────────────────────────────────────


def show_channels() -> None:
    """The names alone: what they lead to is a secret."""
    known = channels.configured().names
    if not known:
        markup.title(words.NO_CHANNELS, quiet=words.NO_CHANNELS_MORE)
        st.code(words.NO_CHANNELS_HOW, language="bash", wrap_lines=True)
        return
    denied = access.may("test alert")
    markup.title(words.CHANNELS_HERE, quiet="" if settings().dashboard_url else words.NO_DASHBOARD_URL)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for name in known:
            st.button(
                f"{words.CHANNEL_TEST}: {markup.literal(name)}", key=f"test.{name}", icon=":material/send:",
                disabled=bool(denied), help=denied or None, on_click=_test, args=(name,),
            )  # fmt: skip
    _say_tested()


def _test(name: str) -> None:
    # Quick clicks: one that comes while the test before it was sent says what that one said.
    last = st.session_state.get(_TESTED)
    if last and last[0] == name and clock.now() - last[2] < timedelta(seconds=3):
        return
    outcome: BuslogError | None = None
    try:
        access.alerts().test(name, channels.configured())
    except BuslogError as error:
        outcome = error
    st.session_state[_TESTED] = (name, outcome, clock.now())


def _say_tested() -> None:
    """Beside the buttons: the top of the page is out of sight from here."""
    last = st.session_state.get(_TESTED)
    if last is None or clock.now() - last[2] > _MINUTE:
        return
    name, outcome, at = last
    if isinstance(outcome, BuslogError):
        problems.show(outcome)
    else:
        markup.quiet(words.CHANNEL_TESTED.format(channel=name, time=f"{clock.time_of_day(at)} {clock.zone()}"))


# ── history ─────────────────────────────────────────────────────────────────────


def show_history(found: Sequence[Alert], *, rule: str | None, before: str | None) -> None:
    """One page of it; `found` has one alert more when there is more."""
    if rule:
        st.button(words.ALERT_ALL_HISTORY, icon=":material/arrow_back:", type="tertiary", on_click=_show_history_of,
                  args=(None,))  # fmt: skip
    if not found:
        nothing = words.NO_ALERTS_OF_RULE if rule else words.NO_ALERTS_YET
        markup.quiet(words.NO_OLDER_ALERTS if before else nothing)
    for alert in found[:SHOWN]:
        _show_alert(alert)
    if before or len(found) > SHOWN:
        with st.container(horizontal=True):
            st.button("Newest", icon=":material/first_page:", disabled=not before, on_click=_turn, args=(rule, None))
            st.button("Older", icon=":material/chevron_right:", disabled=len(found) <= SHOWN, on_click=_turn,
                      args=(rule, found[SHOWN - 1].id if len(found) > SHOWN else None))  # fmt: skip


def _turn(rule: str | None, before: int | None) -> None:
    place = {"rule": rule, "before": before}
    st.query_params.from_dict({name: str(value) for name, value in place.items() if value is not None})


def _show_alert(alert: Alert) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            markup.title(alert.rule, quiet=alert.what)
            is_over = alert.resolved_at is not None
            st.badge(words.ALERT_OVER if is_over else words.ALERT_FIRING, color="green" if is_over else "red")
        times = f"Since {clock.stamp(alert.since)} {clock.zone()}"
        if alert.resolved_at:
            times += f" until {clock.stamp(alert.resolved_at)}, {clock.lasted(alert.resolved_at - alert.since)}"
        markup.quiet_lines([times, *(told(notice) for notice in alert.notices[-NOTICES_SHOWN:])])


def told(notice: Notice) -> str:
    """One line: to whom, what, and what came of it."""
    facts: dict[str, Any] = {
        "channel": notice.channel, "what": words.NOTICE_OCCASIONS[notice.occasion], "error": notice.error or "",
        "tries": words.plural(notice.tries, "try"), "until": clock.until(notice.due_at),
        "time": f"{clock.stamp(notice.sent_at or notice.due_at)} {clock.zone()}",
    }  # fmt: skip
    match notice.state:
        case "sent":
            said = words.NOTICE_SENT
        case "suppressed":
            said = words.NOTICE_SUPPRESSED
        case "given up":
            said = words.NOTICE_GIVEN_UP
        case _ if notice.error:
            said = words.NOTICE_RETRIED
        case _ if notice.is_overdue(clock.now()):
            said = words.NOTICE_UNKNOWN
        case _ if notice.is_held and notice.due_at > clock.now():
            said = words.NOTICE_HELD
        case _:
            said = words.NOTICE_WAITING
    return said.format(**facts)
