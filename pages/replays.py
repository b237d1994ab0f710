"""Stored runs: all of them, and one with its progress, undo and stop. Its deep link is /replays?run=…."""

from uuid import UUID

import streamlit as st

from buslog.console import access, acting, frame, lists, many, markup, problems, runs, words
from buslog.errors import BuslogError, InvalidFilter, NotFound
from buslog.insights import ItemState, Run, RunState
from buslog.message import DeliveryRef

WATCH_EVERY = 1.0  # seconds, while something of it is under way
PAGE = 20  # runs
ITEMS = 50
STOPPING = "replays.stopping"

acting.say()
insights = access.insights()


# ── all of them ─────────────────────────────────────────────────────────────────


def everything() -> None:
    actions = frame.header("Replays")
    before = number_of("before")
    found = insights.runs(before=before, places=PAGE + 1)
    if not found:
        with st.container(border=True):
            if before is None:
                markup.title(words.NO_RUNS, quiet=words.NO_RUNS_MORE)
            else:
                markup.title(words.NO_MORE_RUNS)
        if before is not None:
            st.page_link(frame.REPLAYS, label="Newest", icon=":material/first_page:")
        return
    with actions:
        frame.refresh()
    shown, newest = found[:PAGE], found[0].id
    is_watching = any(run.is_under_way for run in shown)

    @st.fragment(run_every=2 * WATCH_EVERY if is_watching else None)
    def watched() -> None:
        with problems.shown():
            now = insights.runs(before=newest + 1, places=PAGE)  # newer ones are not put in under the reader
            for run in now:
                runs.card(run)
            if is_watching != any(run.is_under_way for run in now):
                st.rerun()

    watched()
    with st.container(horizontal=True):
        if before is not None:
            st.page_link(frame.REPLAYS, label="Newest", icon=":material/first_page:")
        if len(found) > PAGE:
            st.page_link(frame.REPLAYS, label="Older", icon=":material/chevron_right:",
                         query_params={"before": str(shown[-1].id)})  # fmt: skip


# ── one ─────────────────────────────────────────────────────────────────────────


def one(run_id: int) -> None:
    st.page_link(frame.REPLAYS, label=words.ALL_RUNS, icon=":material/arrow_back:")
    run = insights.run(run_id)
    if run is None:
        raise NotFound(field="run", rule="exists", was=str(run_id), mend="Look for it in the list of all runs.")
    many.show()
    if st.session_state.get(STOPPING) == run_id and run.can_stop:
        st.dialog(words.STOP_TITLE, icon=":material/stop_circle:", on_dismiss=keep_going)(ask_to_stop)(run)
    markup.heading(runs.title(run), before=f"Run {run.id}")
    runs.filter_link(run)
    watch(run)
    items(run)
    with st.expander(words.FROM_A_TERMINAL):
        st.code("\n".join(runs.command_lines(run)), language="bash")


def watch(run: Run) -> None:
    """Looked at again every second while it is under way, but for the time a dialog is open."""
    is_asking = many.is_open() or STOPPING in st.session_state
    is_watching = run.is_under_way and not is_asking
    looks = 0

    @st.fragment(run_every=WATCH_EVERY if is_watching else None)
    def watched() -> None:
        with problems.shown():
            nonlocal looks
            looks += 1
            if looks > 1 and "run" not in st.query_params:  # after a start: see many.just_started
                st.query_params.from_dict({"run": str(run.id)})
            now = insights.run(run.id) or run
            made_of = insights.run_set(run.id)
            with st.container(border=True):
                with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
                    st.text(runs.standing(now, made_of, are_workers=bool(insights.live_workers())))
                    runs.badge(now)
                runs.progress(now)
                act_on(now)
                runs.facts(now)
            runs.figures(now, made_of)
            if now.state is not run.state or now.is_under_way != run.is_under_way or is_asking_now() != is_asking:
                st.rerun()

    watched()


def is_asking_now() -> bool:
    return many.is_open() or STOPPING in st.session_state


def act_on(run: Run) -> None:
    why = access.may("stop")
    with st.container(horizontal=True, vertical_alignment="center"):
        if run.state is RunState.WAITING:
            st.button(words.UNDO, type="primary", icon=":material/undo:", key="replays.undo",
                      help=why or words.UNDO_WHY, disabled=bool(why), on_click=stop,
                      args=(run.id, "undone"))  # fmt: skip
        elif run.can_stop:
            st.button("Stop…", icon=":material/stop_circle:", key="replays.stop",
                      help=why or words.STOP_WHY, disabled=bool(why), on_click=start_asking,
                      args=(run.id,))  # fmt: skip
        if run.failed_again and not run.is_under_way:
            many.again(run)
        if run.state is RunState.STOPPED and run.waiting:
            many.rest(run)


def start_asking(run_id: int) -> None:
    st.session_state[STOPPING] = run_id


def keep_going() -> None:
    st.session_state.pop(STOPPING, None)


def ask_to_stop(run: Run) -> None:
    markup.quiet(words.STOP_WHY)
    with st.form("replays.stop_form", border=False):
        reason = st.text_input(words.RUN_REASON_OPTIONAL, max_chars=200, placeholder=words.RUN_REASON_KEPT)
        with st.container(horizontal=True, horizontal_alignment="right"):
            goes_on = st.form_submit_button(words.KEEP_GOING)
            stops = st.form_submit_button(words.STOP, type="primary", icon=":material/stop_circle:")
    if stops:
        stop(run.id, reason)
    if stops or goes_on:
        keep_going()
        st.rerun()


def stop(run_id: int, reason: str) -> None:
    try:
        access.replays().stop(run_id, reason=reason)
    except BuslogError as error:
        acting.remember(error)


# ── its items ───────────────────────────────────────────────────────────────────


def items(run: Run) -> None:
    st.subheader("Deliveries")
    counts = {
        ItemState.FAILED_AGAIN: run.failed_again, ItemState.SUCCEEDED: run.succeeded, ItemState.SENT: run.sent,
        ItemState.WAITING: run.waiting, ItemState.CANCELLED: run.cancelled, ItemState.SKIPPED: run.skipped,
    }  # fmt: skip
    state, is_stopped = state_asked(), run.state is RunState.STOPPED
    with st.container(horizontal=True, gap="small"):
        for choice in (None, *(each for each, number in counts.items() if number or each is state)):
            number = counts[choice] if choice else sum(counts.values())
            told = words.item_label(choice, is_stopped=is_stopped) if choice else words.ALL_ITEMS
            label = f"{told} {number:,}"
            st.button(label, key=f"replays.items.{choice}", type="primary" if choice is state else "secondary",
                      on_click=st.query_params.from_dict, args=(params(run, choice),))  # fmt: skip
    after = place_asked()
    found = insights.run_items(run.id, state=state, after=after, places=ITEMS + 1)
    shown = found[:ITEMS]
    if not found:
        markup.quiet(
            words.ITEMS_NONE.format(state=words.item_label(state, is_stopped=is_stopped))
            if state
            else words.NO_MORE_RUNS
        )
    else:
        lists.item_list(shown, key_field=insights.key_field(), is_stopped=is_stopped)
    with st.container(horizontal=True):
        if after:
            st.page_link(frame.REPLAYS, label="First", icon=":material/first_page:", query_params=params(run, state))
        if len(found) > ITEMS:
            last = shown[-1]
            more = {**params(run, state), "after": f"{last.message_id}~{last.subscription}"}
            st.page_link(frame.REPLAYS, label="Next", icon=":material/chevron_right:", query_params=more)


def params(run: Run, state: ItemState | None) -> dict[str, str]:
    return {"run": str(run.id), **({"items": str(state)} if state else {})}


def state_asked() -> ItemState | None:
    text = st.query_params.get("items")
    try:
        return ItemState(text) if text else None
    except ValueError:
        raise InvalidFilter(
            field="items", rule="is a state of an item", was=text or "", limit=", ".join(ItemState),
            mend="Open the run from the list.",
        ) from None  # fmt: skip


def place_asked() -> DeliveryRef | None:
    text = st.query_params.get("after")
    if not text:
        return None
    message, _, subscription = text.partition("~")
    try:
        return DeliveryRef(UUID(message), subscription)
    except ValueError:
        raise InvalidFilter(
            field="after", rule="is a place in the run", was=text, mend="Go back to the first."
        ) from None


def number_of(name: str) -> int | None:
    text = st.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < 2**63):
        raise InvalidFilter(field=name, rule="is the number of a run", was=text, mend="Open a run from the list.")
    return int(text)


chosen = many.just_started() or number_of("run")
if chosen is None:
    everything()
else:
    one(chosen)
