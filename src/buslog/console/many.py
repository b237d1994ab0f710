"""The one place from which pages act on many deliveries: picked by hand, or all that a filter finds. Every road leads
past the same preview, and its number is the dialog's token: however often it is started, it is started once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from buslog.console import access, acting, clock, frame, inputs, markup, problems, runs, words
from buslog.console.filters import current_params
from buslog.console.shortcuts import Shortcut
from buslog.errors import BuslogError, InvalidFilter
from buslog.filter import Filter
from buslog.insights import LogRow, Run, RunState, Verb
from buslog.message import DeliveryRef, State
from buslog.replays import CANARY, LONGEST_UNDO, MOST, RATES, TAKES, UNDO, Preview, Replays, takes

TYPED_ABOVE = 100  # so many are confirmed by their number
SMALL = 20  # up to so many have no canary unless it is asked for
LISTED = 20  # superseded ones that the dialog names

_ASKED = "many.asked"
_FAULTS = "many.faults"
_STARTED = "many.started"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A dialog that is open, and the page over which it was opened."""

    page: str
    preview: Preview


# ── on pages ────────────────────────────────────────────────────────────────────


def buttons(filter_: Filter, *, label: str = words.ALL_MATCHING, key: str = "many") -> None:
    """Folded: what can be done to all that a filter finds, in each button the verb, how many and which. Opens the
    dialog too, where one is asked for.
    """
    show()
    folded = st.expander(label, icon=":material/select_all:", key=f"{key}.all", on_change="rerun")
    if not folded.open:
        return
    with folded, problems.shown():
        markup.quiet(f"{runs.in_words(filter_)}. {words.ALL_MATCHING_HOW}")
        with st.container(horizontal=True, gap="small"):
            for verb in Verb:
                _all_button(filter_, verb, key)


def selected(rows: Sequence[LogRow], filter_: Filter, *, key: str) -> None:
    """What can be done to the rows that are selected in a list of a filter."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for verb in Verb:
            fit = [row.delivery for row in rows if row.delivery and row.state in TAKES[verb]]
            if verb is Verb.RUN_NOW and not fit:
                continue
            count = words.plural(len(fit), "delivery") + "…" if fit else "selected"
            why = "" if fit else words.NOT_THESE.format(why=words.NOTHING_FITS[verb]) if rows else words.SELECT_FIRST
            why = access.may(f"{verb} many") or why
            st.button(
                f"{words.RUN_VERBS[verb]} {count}", key=f"{key}.{verb}", icon=words.VERB_ICONS[verb],
                disabled=bool(why), help=why or None, type="primary" if verb is Verb.REPLAY else "secondary",
                on_click=_ask, args=(_preview_selected, fit, verb, filter_),
                # Not below its own dialog: there it would ask anew, and what was typed were gone.
                shortcut=Shortcut.REPLAY if verb is Verb.REPLAY and not is_open() else None,
            )  # fmt: skip
        if rows:
            markup.quiet(words.ONLY_THESE)


def again(run: Run) -> None:
    """To replay what failed again in a run."""
    why = access.may("replay many")
    st.button(
        words.REPLAY_AGAIN.format(number=f"{run.failed_again:,}"), icon=words.VERB_ICONS[Verb.REPLAY], key="many.again",
        type="primary", disabled=bool(why), help=why or None, on_click=_ask, args=(Replays.preview_failed, run.id),
    )  # fmt: skip


def rest(run: Run) -> None:
    """To do the same to what a stopped run did not send."""
    why = access.may(f"{run.verb} many")
    st.button(
        words.SEND_REST.format(verb=words.RUN_VERBS[run.verb], number=f"{run.waiting:,}"), key="many.rest",
        icon=words.VERB_ICONS[run.verb], disabled=bool(why), help=why or None, on_click=_ask,
        args=(Replays.preview_rest, run.id),
    )  # fmt: skip


def just_started() -> int | None:
    """The run that the dialog has started, once: its page is the one to show. Its number is not in the address yet:
    given with the step to this page, it would stand behind the page before it in the browser's history, and Back would
    break.
    """
    started: int | None = st.session_state.pop(_STARTED, None)
    return started


def is_open() -> bool:
    """Whether a dialog is open: what refreshes itself waits meanwhile."""
    asked = st.session_state.get(_ASKED)
    return asked is not None and asked.page == st.session_state.get("frame.page")


def show() -> None:
    """The dialog, where one is asked for on this page."""
    if not is_open():
        _close()
        return
    preview: Preview = st.session_state[_ASKED].preview
    label = f"{words.RUN_VERBS[preview.verb]} {words.plural(preview.eligible, 'delivery')}?"
    icon = words.VERB_ICONS[preview.verb]
    st.dialog(label, width="medium", icon=icon, on_dismiss=_close)(_dialog)(preview)


# ── inside ──────────────────────────────────────────────────────────────────────


def _all_button(filter_: Filter, verb: Verb, key: str) -> None:
    try:
        states = takes(filter_, verb)
    except InvalidFilter:
        states = ()
    count = access.insights().count(replace(filter_, states=states)) if states else None
    why = access.may(f"{verb} many") or ("" if count else words.NOTHING_FITS[verb])
    scope = words.SCOPES[Verb.REPLAY if states == (State.FAILED,) else verb]
    which = scope.format(states=_of_states(states))
    st.button(
        f"{words.RUN_VERBS[verb]} all {count} {which}…" if count else f"{words.RUN_VERBS[verb]} all",
        key=f"{key}.all.{verb}", icon=words.VERB_ICONS[verb], disabled=bool(why),
        help=why or words.VERB_MEANINGS[verb],
        on_click=_ask, args=(Replays.preview, filter_, verb),
    )  # fmt: skip


def _of_states(states: Sequence[State]) -> str:
    told = {State.FAILED: "failed", State.CANCELLED: "were cancelled", State.SUCCEEDED: "have succeeded"}
    return " or ".join(told.get(state, str(state)) for state in states)


def _preview_selected(replays: Replays, refs: list[DeliveryRef], verb: Verb, filter_: Filter) -> Preview:
    return replays.preview_selected(refs, verb, filter_=filter_)


def _ask(look: Callable[..., Preview], *args: Any) -> None:
    """A click's: looks, and leaves the dialog to the run of the page that follows."""
    try:
        preview = look(access.replays(), *args)
    except BuslogError as error:
        acting.remember(error)
        return
    st.session_state[_ASKED] = _Asked(st.session_state.get("frame.page", ""), preview)


def _close() -> None:
    st.session_state.pop(_ASKED, None)


# ── the dialog ──────────────────────────────────────────────────────────────────


def _dialog(preview: Preview) -> None:
    if _STARTED in st.session_state:
        _close()
        if st.session_state.get("frame.page") == "replays":
            st.query_params.from_dict({"run": str(just_started())})
            st.rerun()
        # Whatever is given here lands on the page below, too, in the browser's history: so, what it has already.
        st.switch_page(frame.REPLAYS, query_params=current_params())
    with problems.shown():
        _what(preview)
        _left_out(preview)
        if preview.verb is Verb.REPLAY and preview.eligible:
            _superseded(preview)
            _caused(preview)
        _form(preview)


def _what(preview: Preview) -> None:
    picked = words.RUN_PICKED.format(filter=runs.in_words(preview.filter)) if preview.is_selected else ""
    markup.title(picked or runs.in_words(preview.filter), quiet=f"{words.VERB_MEANINGS[preview.verb]} {words.FROZEN}")
    markup.facts(
        [
            (f"Oldest message ({clock.zone()})", clock.stamp(preview.oldest)),
            (f"Newest looked at ({clock.zone()})", clock.stamp(preview.cutoff)),
            ("Subscriber" if len(preview.subscriptions) == 1 else "Subscribers", ", ".join(
                f"{words.short(name)} ({number:,})" for name, number in preview.subscriptions.items())),
        ]
    )  # fmt: skip
    if preview.is_capped:
        st.warning(words.CAPPED.format(number=MOST), icon=":material/warning:")
    if preview.again:
        st.warning(words.SENT_AGAIN.format(number=f"{preview.again:,}"), icon=":material/warning:")


def _left_out(preview: Preview) -> None:
    if preview.skipped:
        number = f"{sum(count.value for count in preview.skipped.values()):,}"
        capped = any(count.is_capped for count in preview.skipped.values())
        lines = [f"{count} {runs.skipped_why(reason)}" for reason, count in preview.skipped.items()]
        markup.title(words.LEFT_OUT.format(number=f"{number}{'+' if capped else ''}"), quiet="; ".join(lines) + ".")


def _superseded(preview: Preview) -> None:
    if preview.superseded is None:
        markup.quiet(words.SUPERSEDED_UNKNOWN)
    elif preview.superseded:
        number = f"{preview.superseded:,}"
        key_field = access.insights().key_field()
        with st.container(border=True):
            st.markdown(f":orange[:material/warning:] **{words.SUPERSEDED.format(number=number)}**")
            markup.quiet(words.SUPERSEDED_WHY.format(key=key_field))
            with st.expander("Which"):
                items = access.insights().run_items(preview.run, superseded=True, places=LISTED)
                markup.links(
                    (f"{item.name} {item.key or ''}", f"message?id={item.message_id}",
                     f"{clock.stamp(item.emitted_at)} {clock.zone()} · {words.short(item.subscription)}")
                    for item in items
                )  # fmt: skip
                if preview.superseded > len(items):
                    markup.quiet(f"and {preview.superseded - len(items):,} more")


def _caused(preview: Preview) -> None:
    if preview.caused is None:
        markup.title(words.CAUSED, quiet=words.CAUSED_UNKNOWN)
    elif not preview.caused:
        markup.title(words.CAUSED, quiet=words.CAUSED_NOTHING)
    else:
        told = ", ".join(f"{each.messages:,} × {each.name} ({each.kind})" for each in preview.caused)
        markup.title(words.CAUSED, quiet=f"{told}. {words.CAUSED_WHY}")


def _form(preview: Preview) -> None:
    key = f"many.{preview.run}"
    if not preview.eligible:
        markup.title(words.NOTHING_TO_SEND)
        is_left = st.button(words.LEAVE_IT, key=f"{key}.leave")
    else:
        with st.form(key, border=False):
            _fields(preview)
            problem: BuslogError | dict[str, str] = st.session_state.pop(_FAULTS, {})
            if isinstance(problem, BuslogError):
                problems.show(problem)
            else:
                for field, fault in problem.items():
                    inputs.fault(f"{field} {fault}")
            with st.container(horizontal=True, horizontal_alignment="right"):
                is_left = st.form_submit_button(words.LEAVE_IT, key=f"{key}.leave")
                st.form_submit_button(
                    f"{words.RUN_VERBS[preview.verb]} {words.plural(preview.eligible, 'delivery')}", type="primary",
                    icon=words.VERB_ICONS[preview.verb], key=f"{key}.go", on_click=_press, args=(preview,),
                )  # fmt: skip
        with st.expander(words.FROM_A_TERMINAL):
            st.code(_command_line(preview), language="bash", wrap_lines=True)
    if is_left:
        _close()
        st.rerun()


def _press(preview: Preview) -> None:
    """The click's own: what was typed is checked, and the run started; the dialog then leads to its page."""
    lead = f"many.{preview.run}."
    given = {name.removeprefix(lead): value for name, value in st.session_state.items()
             if isinstance(name, str) and name.startswith(lead)}  # fmt: skip
    if "rate" not in given:  # the dialog is gone: an earlier one of several quick clicks has started the run
        _lead_to(preview)
        return
    typed = {"canary": 0, "superseded": False, "sure": not preview.again, "count": None, "reason": "", **given}
    faults = _faults(preview, typed)
    if faults:
        st.session_state[_FAULTS] = faults
        return
    try:
        _start(preview, typed)
    except BuslogError as error:
        st.session_state[_FAULTS] = error


def _lead_to(preview: Preview) -> None:
    try:
        if access.replays().run(preview.run).state is not RunState.PREVIEWED:
            st.session_state[_STARTED] = preview.run
    except BuslogError as error:
        st.session_state[_FAULTS] = error


def _fields(preview: Preview) -> None:
    key = f"many.{preview.run}"
    if preview.superseded:
        st.checkbox(words.SUPERSEDED_LEAVE, key=f"{key}.superseded")
    first, second, third = st.columns(3) if preview.verb is Verb.REPLAY else (None, *st.columns(2))
    if first is not None:
        with first:
            st.number_input(
                words.CANARY_FIELD, 0, min(preview.eligible, MOST), CANARY if preview.eligible > SMALL else 0,
                help=words.CANARY_HELP, key=f"{key}.canary",
            )  # fmt: skip
    with second:
        st.number_input(
            words.RATE_FIELD, RATES[0], RATES[1], None, step=1.0, format="%g", placeholder=words.NO_LIMIT,
            help=words.RATE_HELP, key=f"{key}.rate",
        )  # fmt: skip
    with third:
        st.number_input(words.UNDO_FIELD, 0, int(LONGEST_UNDO), int(UNDO), help=words.UNDO_HELP, key=f"{key}.undo")
    st.text_input(
        words.RUN_REASON if _wants_reason(preview) else words.RUN_REASON_OPTIONAL, max_chars=200, key=f"{key}.reason",
        placeholder=words.RUN_REASON_KEPT,
    )  # fmt: skip
    if preview.again:
        st.checkbox(words.SENT_AGAIN_SURE, key=f"{key}.sure")
    if preview.eligible > TYPED_ABOVE:
        st.text_input(words.TYPE_COUNT.format(number=preview.eligible), key=f"{key}.count")


def _faults(preview: Preview, typed: dict[str, Any]) -> dict[str, str]:
    faults = {}
    if _wants_reason(preview) and not typed["reason"].strip():
        faults[words.RUN_REASON] = words.RUN_REASON_MISSING
    if not typed["sure"]:
        faults[f"“{words.SENT_AGAIN_SURE}”"] = words.SURE_MISSING
    if typed["count"] is not None and typed["count"].strip().replace(",", "") != str(preview.eligible):
        faults[words.TYPE_COUNT_FIELD] = words.TYPE_COUNT_WRONG.format(number=preview.eligible)
    return faults


def _wants_reason(preview: Preview) -> bool:
    return preview.verb is Verb.CANCEL or preview.again > 0


def _start(preview: Preview, typed: dict[str, Any]) -> None:
    run = access.replays().start(
        preview.run, reason=typed["reason"].strip(), canary=int(typed["canary"]), rate=typed["rate"],
        undo=float(typed["undo"] or 0), leave_superseded=bool(typed["superseded"]),
    )  # fmt: skip
    st.session_state[_STARTED] = run.id


def _command_line(preview: Preview) -> str:
    reason = ' --reason "…"' if _wants_reason(preview) else ""
    canary = " --canary 0" if preview.verb is Verb.REPLAY and preview.eligible <= SMALL else ""
    return f"buslog runs start {preview.run}{canary}{reason}"
