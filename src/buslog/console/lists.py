"""Lists to read, as HTML: all there at once, also for who listens, with links that a browser can open beside the page.

Where rows are selected there is a grid of Streamlit's (`tables`): a canvas that writes what it shows for who listens a
third of a second after it was drawn. What sorts these lists is in page.js.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html import escape

import streamlit as st

from buslog.console import auditing, clock, filters, links, numbers, words
from buslog.filter import Filter
from buslog.insights import AuditRow, FailureGroup, Item, LiveWorker, LogRow, Subscriber
from buslog.message import State

ROW_HEIGHT = 35  # pixels, with its line
WIDEST, NARROWEST = 300, 110  # pixels, of a column of texts
NARROWEST_LAST = 160  # it is what one reads the row for: an error, what came of it
NARROWEST_ON_PHONES = 180  # a list is wider than the screen, and no mouse tells the rest
LIGHT = 155  # of 255
LONG = 12  # letters: of more, some may not be seen

_LINE = "1px solid rgba(128,136,152,.24)"
# A grid of CSS, not a table of it: where room is short, the widest columns give way first, all alike, and the last one
# has what is left. A table would leave it to the longest text how much all others lose.
_STYLE = (
    f"<style>.list{{overflow:auto;border:{_LINE};border-radius:8px}}"
    ".list table{display:grid;font-size:.87rem;white-space:nowrap}.list :is(thead,tbody,tr){display:contents}"
    f".list :is(th,td){{height:{ROW_HEIGHT}px;line-height:{ROW_HEIGHT - 1}px;padding:0 8px;text-align:left;"
    f"border-bottom:{_LINE};border-right:{_LINE};overflow:hidden;text-overflow:ellipsis;max-width:{WIDEST}px}}"
    ".list tr:last-child td{border-bottom:0}.list :is(th,td):last-child{border-right:0;max-width:none}"
    f".list .long{{min-width:{NARROWEST}px}}.list .long:last-child{{min-width:{NARROWEST_LAST}px}}"
    f"@media(max-width:640px){{.list .long{{min-width:{NARROWEST_ON_PHONES}px}}}}"
    ".list th{background:rgba(128,136,152,.09);font-weight:400;position:sticky;top:0}"
    ".list th button{all:unset;cursor:pointer;opacity:.66}.list th button:focus-visible{outline:2px solid}"
    ".list th[aria-sort=ascending] button::after{content:' ↑'}"
    ".list th[aria-sort=descending] button::after{content:' ↓'}"
    ".list .right{text-align:right;font-variant-numeric:tabular-nums}"
    f".list a{{color:inherit;text-decoration:none;border:{_LINE};border-radius:6px;padding:2px 10px}}"
    ".list a:hover{border-color:currentColor}.list a:focus-visible{outline:2px solid;outline-offset:-2px}"
    ".list a.key{border:0;padding:0}.list a.key:hover{text-decoration:underline}"
    ".list b{font-weight:400;border-radius:10px;padding:2px 8px}</style>"
)


@dataclass(frozen=True, slots=True)
class Column:
    """Its label, its cells as HTML, what they are sorted by where that is not what they say, and what the mouse tells.

    is_long: where room is short it is narrower than its texts, which then end in an ellipsis.
    """

    label: str
    cells: Sequence[str]
    order: Sequence[float] | None = None
    told: Sequence[str] | None = None
    is_long: bool = False
    is_right: bool = False


def log_list(rows: Sequence[LogRow], *, key_field: str) -> None:
    """Deliveries, and messages without any; each leads to its message, and to the page of its key."""
    replays = [words.replays(row) for row in rows]
    _show(
        _links(words.OPEN_ROW, [links.message(row.message_id) for row in rows]),
        _times("Emitted", [row.emitted_at for row in rows]),
        _texts("Name", [row.name for row in rows]),
        _keys(key_field, [row.key for row in rows]),
        _subscriptions([row.subscription for row in rows]),
        Column("State", [_state(row.state) + (_sent_again() if row.repeats else "") for row in rows]),
        *([_texts(words.REPLAYS_COLUMN, replays)] if any(replays) else []),
        _figures("Attempts", ["" if row.attempts is None else str(row.attempts) for row in rows],
                 [row.attempts or 0 for row in rows]),
        _texts("Last error", [row.last_error_type or "" for row in rows]),
        is_page=True,
        alt="Deliveries, newest first",
    )  # fmt: skip


def item_list(items: Sequence[Item], *, key_field: str, is_stopped: bool) -> None:
    """Deliveries of a run; each leads to its message, and to the page of its key."""
    _show(
        _links(words.OPEN_ROW, [links.message(item.message_id) for item in items]),
        _times("Emitted", [item.emitted_at for item in items]),
        _texts("Name", [item.name or "" for item in items]),
        _keys(key_field, [item.key for item in items]),
        _subscriptions([item.subscription for item in items]),
        Column("Was", [_state(item.was) for item in items]),
        Column("Now", [_badge(words.item_label(item.state, is_stopped=is_stopped),
                              words.item_look(item.state, is_stopped=is_stopped).tone) for item in items]),
        _texts("Why", [_why(item) for item in items]),
        is_page=True,
        alt="Deliveries of the run, oldest message first",
    )  # fmt: skip


def audit_list(rows: Sequence[AuditRow], *, key_field: str) -> None:
    """Operations; each leads to its own page, and to the page of its key."""
    _show(
        _links(words.OPEN_ROW, [links.to("audit", {auditing.OPERATION: str(row.id)}) for row in rows]),
        _times("When", [row.at for row in rows]),
        _texts("Who", [row.actor for row in rows]),
        _texts("What", [row.verb for row in rows]),
        Column("Outcome", [_badge(words.DENIED_LABEL, words.DENIED_TONE) if row.is_denied else words.DONE_LABEL
                           for row in rows]),
        _keys(key_field, [row.key for row in rows]),
        _subscriptions([row.subscription for row in rows]),
        _texts("Why", [row.reason or "" for row in rows]),
        _texts("What came of it", [auditing.said(row) for row in rows]),
        is_page=True,
        alt="What people did, newest first",
    )  # fmt: skip


def group_list(groups: Sequence[FailureGroup], filter_: Filter) -> None:
    """Groups of failures among what the filter finds; each leads to its page."""
    narrowed = [replace(filter_, group=group.fingerprint) for group in groups]
    _show(
        _links(words.OPEN_GROUP, [links.to("failures", filters.explicit(one)) for one in narrowed]),
        _figures("Failed", [str(group.count) for group in groups], [group.count.value for group in groups]),
        _texts("Status", [words.status_label(group.status) for group in groups]),
        _texts("Name", [words.some(group.names) for group in groups]),
        _texts("Subscriber", [words.some(map(words.short, group.subscriptions)) for group in groups]),
        _texts("Error", [f"{group.error_type}: {group.sample}" for group in groups]),
        alt="Failures grouped by cause",
    )


def worker_list(workers: Sequence[LiveWorker]) -> None:
    ages = [clock.now() - worker.started_at for worker in workers]
    _show(
        _texts("Worker", [worker.worker for worker in workers]),
        _texts("Version", [worker.version or "–" for worker in workers]),
        _numbers("Running", [worker.running for worker in workers]),
        replace(_durations("Started", ages, [clock.ago(worker.started_at) for worker in workers]), is_right=False),
        _texts("Hosts", [", ".join(map(words.short, worker.hosts)) or "nothing" for worker in workers]),
        most_rows=8,
        alt="Workers whose lease holds, and what they host",
    )


def subscriber_list(subscribers: Sequence[Subscriber], filter_: Filter) -> None:
    """Subscriptions; each leads to its page, for the time of the filter."""
    narrowed = [replace(filter_, subscription=one.subscription) for one in subscribers]
    lasted = (
        ("p50", [one.p50 for one in subscribers]),
        ("p95", [one.p95 for one in subscribers]),
        ("p99", [one.p99 for one in subscribers]),
    )
    waited = [clock.now() - one.oldest if one.oldest else None for one in subscribers]
    _show(
        _links(words.OPEN_SUBSCRIBER, [links.to("subscribers", filters.explicit(one)) for one in narrowed]),
        _subscriptions([one.subscription for one in subscribers]),
        Column("Now", [_badge(words.TROUBLES[one.trouble], words.TROUBLE_TONES[one.trouble]) for one in subscribers],
               [one.trouble for one in subscribers]),
        _texts("Mode", [str(one.mode) for one in subscribers]),
        _figures("Ended", [numbers.rate(one) for one in subscribers],
                 [one.succeeded + one.failed + one.cancelled for one in subscribers]),
        _numbers("Failed", [one.failed for one in subscribers]),
        _figures("Fail rate", [numbers.share(one.failure_rate) for one in subscribers],
                 [-1 if one.failure_rate is None else one.failure_rate for one in subscribers]),
        *(_durations(share, took, [clock.lasted(one) if one else "–" for one in took]) for share, took in lasted),
        _numbers("Waiting", [one.backlog for one in subscribers]),
        _durations("Oldest", waited, [clock.lasted(one) if one else "" for one in waited]),
        _numbers("Workers", [one.live_workers for one in subscribers]),
        _texts("Names", [", ".join(one.names) for one in subscribers]),
        most_rows=20,
        alt="Subscribers, what is wrong with them and their figures",
    )  # fmt: skip


def rights_list(rows: Sequence[tuple[str, str, str]]) -> None:
    """What, whether, and from which role on."""
    _show(*_rows(("What", "You may", "From"), rows), most_rows=len(rows),
          alt="What each role may do, and whether yours may")  # fmt: skip


def people_list(rows: Sequence[tuple[str, str, str, str, str]]) -> None:
    _show(*_rows(("Person", "Name", "Role", "Given", "Last seen"), rows),
          alt="People and their roles, seen last first")  # fmt: skip


# ── columns ─────────────────────────────────────────────────────────────────────


def _rows(labels: Iterable[str], rows: Sequence[Sequence[str]]) -> Iterable[Column]:
    return [_texts(label, [row[place] for row in rows]) for place, label in enumerate(labels)]


def _texts(label: str, values: Sequence[str], told: Sequence[str] | None = None) -> Column:
    """told: what they say at full length, where that is more."""
    return Column(label, [escape(value) for value in values], told=told or values, is_long=_is_long(values))


def _is_long(values: Sequence[str]) -> bool:
    return any(len(value) > LONG for value in values)


def _subscriptions(subscriptions: Sequence[str | None]) -> Column:
    whole = [subscription or "" for subscription in subscriptions]
    return _texts("Subscriber", [words.short(subscription) for subscription in whole], whole)


def _keys(label: str, keys: Sequence[str | None]) -> Column:
    """Each leads to its page, and looks like any other text."""
    whole = [key or "" for key in keys]
    cells = [f'<a class="key" href="{escape(links.key(key))}">{escape(key)}</a>' if key else "" for key in whole]
    return Column(label, cells, told=whole, is_long=_is_long(whole))


def _times(label: str, moments: Sequence[datetime | None]) -> Column:
    return Column(
        f"{label} ({clock.zone()})",
        [clock.stamp(moment) for moment in moments],
        [moment.timestamp() if moment else -1 for moment in moments],
    )


def _figures(label: str, values: Sequence[str], order: Sequence[float]) -> Column:
    return Column(label, [escape(value) for value in values], order, is_right=True)


def _numbers(label: str, values: Sequence[int]) -> Column:
    return _figures(label, [f"{value:,}" for value in values], values)


def _durations(label: str, lasted: Sequence[timedelta | None], told: Sequence[str]) -> Column:
    return _figures(label, told, [-1 if one is None else one.total_seconds() for one in lasted])


def _links(label: str, addresses: Sequence[str]) -> Column:
    return Column("", [f'<a href="{escape(address)}">{escape(label)}</a>' for address in addresses])


def _state(state: State) -> str:
    return _badge(words.label(state), words.STATES[state].tone)


def _sent_again() -> str:
    return " " + _badge(words.MESSAGE_SENT_AGAIN, words.STATES[State.RETRYING].tone)


def _why(item: Item) -> str:
    told = (item.reason or item.error_type, "tried first" if item.is_canary else "",
            "superseded" if item.superseded and item.reason != "superseded" else "")  # fmt: skip
    return ", ".join(filter(None, told))


def _badge(label: str, tone: str) -> str:
    """tone: as #RRGGBB. On a light one the letters are dark."""
    light = sum(share * int(tone[at : at + 2], 16) for at, share in ((1, 0.3), (3, 0.59), (5, 0.11)))
    letters = "#1B2230" if light > LIGHT else "#FFFFFF"
    return f'<b style="background:{tone};color:{letters}">{escape(label)}</b>'


# ── HTML ────────────────────────────────────────────────────────────────────────


def _show(*columns: Column, alt: str, most_rows: int = 10, is_page: bool = False) -> None:
    """most_rows: of more, the list scrolls within itself. is_page: there are more rows than these, on other pages;
    all of these are shown.
    """
    heads = "".join(_head(column, is_page=is_page) for column in columns)
    rows = "".join(
        "<tr role=row>" + "".join(_cell(column, row) for column in columns) + "</tr>"
        for row in range(len(columns[0].cells))
    )
    *others, _ = columns
    widths = " ".join([*("auto" if column.is_long else "max-content" for column in others), "1fr"])
    height = "" if is_page else f' style="max-height:{(most_rows + 1) * ROW_HEIGHT + 2}px"'
    # Browsers take the roles of a table away where it is not displayed as one: so they are said.
    st.html(
        f'{_STYLE}<div class="list" role="region" aria-label="{escape(alt)}" tabindex="0"{height}>'
        f'<table role="table" aria-label="{escape(alt)}" style="grid-template-columns:{widths}">'
        f"<thead role=rowgroup><tr role=row>{heads}</tr></thead><tbody role=rowgroup>{rows}</tbody></table></div>"
    )


def _head(column: Column, *, is_page: bool) -> str:
    says = f' title="{escape(words.SORTS_THESE)}"' if is_page else ""
    button = f"<button{says}>{escape(column.label)}</button>" if column.label else ""
    return f"<th role=columnheader{_looks(column, is_head=True)}>{button}</th>"


def _cell(column: Column, row: int) -> str:
    order = f' data-order="{column.order[row]}"' if column.order is not None else ""
    told = column.told[row] if column.told else ""
    whole = f' title="{escape(told)}"' if len(told) > LONG else ""
    return f"<td role=cell{_looks(column)}{order}{whole}>{column.cells[row]}</td>"


def _looks(column: Column, *, is_head: bool = False) -> str:
    if column.is_right:
        return " class=right"
    return " class=long" if column.is_long and is_head else ""
