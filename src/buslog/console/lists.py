"""Tables to read, as HTML: all there at once, also for who listens, with links that a browser can open beside the page.

A grid of Streamlit's (`tables`) is for long lists, and where rows are selected: a canvas that writes what it shows for
who listens a third of a second after it was drawn. What sorts these tables is in page.js.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from html import escape

import streamlit as st

from buslog.console import clock, filters, links, numbers, words
from buslog.filter import Filter
from buslog.insights import FailureGroup, LiveWorker, Subscriber

ROW_HEIGHT = 35  # pixels, with its line
LIGHT = 155  # of 255
LONG = 12  # letters: of more, some may not be seen

_LINE = "1px solid rgba(128,136,152,.24)"
_STYLE = (
    f"<style>.list{{overflow:auto;border:{_LINE};border-radius:8px}}"
    ".list table{width:100%;border-collapse:collapse;font-size:.87rem;white-space:nowrap}"
    f".list :is(th,td){{height:34px;padding:0 8px;text-align:left;border-bottom:{_LINE};border-right:{_LINE};"
    "overflow:hidden;text-overflow:ellipsis}"
    ".list tbody tr:last-child td{border-bottom:0}.list :is(th,td):last-child{border-right:0}"
    ".list th{background:rgba(128,136,152,.09);font-weight:400;position:sticky;top:0}"
    ".list th button{all:unset;cursor:pointer;opacity:.66}.list th button:focus-visible{outline:2px solid}"
    ".list th[aria-sort=ascending] button::after{content:' ↑'}"
    ".list th[aria-sort=descending] button::after{content:' ↓'}"
    ".list .right{text-align:right;font-variant-numeric:tabular-nums}"
    f".list a{{color:inherit;text-decoration:none;border:{_LINE};border-radius:6px;padding:2px 10px}}"
    ".list td:has(a){width:1px}.list a:hover{border-color:currentColor}"
    ".list b{font-weight:400;border-radius:10px;padding:2px 8px}</style>"
)


@dataclass(frozen=True, slots=True)
class Column:
    """Its label, its cells as HTML, what they are sorted by where that is not what they say, and its width at most, in
    pixels: what is longer is told by the mouse.
    """

    label: str
    cells: Sequence[str]
    order: Sequence[float] | None = None
    widest: int = 260
    is_right: bool = False


def group_list(groups: Sequence[FailureGroup], filter_: Filter) -> None:
    """Groups of failures among what the filter finds; each leads to its page."""
    narrowed = [replace(filter_, group=group.fingerprint) for group in groups]
    _show(
        _links(words.OPEN_GROUP, [links.to("failures", filters.explicit(one)) for one in narrowed]),
        _figures("Failed", [str(group.count) for group in groups], [group.count.value for group in groups]),
        _texts("Status", [words.status_label(group.status) for group in groups]),
        _texts("Error", [f"{group.error_type}: {group.sample}" for group in groups]),
        _texts("Name", [words.some(group.names) for group in groups]),
        _texts("Subscriber", [words.some(map(words.short, group.subscriptions)) for group in groups]),
        alt="Failures grouped by cause",
    )


def worker_list(workers: Sequence[LiveWorker]) -> None:
    ages = [clock.now() - worker.started_at for worker in workers]
    _show(
        _texts("Worker", [worker.worker for worker in workers]),
        _texts("Version", [worker.version or "–" for worker in workers]),
        _numbers("Running", [worker.running for worker in workers]),
        replace(_durations("Started", ages, [clock.ago(worker.started_at) for worker in workers]), is_right=False),
        _texts("Hosts", [", ".join(map(words.short, worker.hosts)) or "nothing" for worker in workers], widest=620),
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
        _texts("Subscriber", [words.short(one.subscription) for one in subscribers]),
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
        # Its own page tells them whole: here they give way to who it is.
        _texts("Names", [", ".join(one.names) for one in subscribers], widest=100),
        most_rows=20,
        alt="Subscribers, what is wrong with them and their figures",
    )  # fmt: skip


def rights_list(rows: Sequence[tuple[str, str, str]]) -> None:
    """What, whether, and from which role on."""
    _show(*_rows(("What", "You may", "From"), rows), most_rows=len(rows),
          alt="What each role may do, and whether yours may")  # fmt: skip


def people_list(rows: Sequence[tuple[str, str, str, str, str]]) -> None:
    _show(*_rows(("Person", "Name", "Role", "Given", "Last seen"), rows, widest=150),
          alt="People and their roles, seen last first")  # fmt: skip


# ── columns ─────────────────────────────────────────────────────────────────────


def _rows(labels: Iterable[str], rows: Sequence[Sequence[str]], widest: int = 260) -> Iterable[Column]:
    return [_texts(label, [row[place] for row in rows], widest=widest) for place, label in enumerate(labels)]


def _texts(label: str, values: Sequence[str], *, widest: int = 260) -> Column:
    return Column(label, [escape(value) for value in values], widest=widest)


def _figures(label: str, values: Sequence[str], order: Sequence[float]) -> Column:
    return Column(label, [escape(value) for value in values], order, is_right=True)


def _numbers(label: str, values: Sequence[int]) -> Column:
    return _figures(label, [f"{value:,}" for value in values], values)


def _durations(label: str, lasted: Sequence[timedelta | None], told: Sequence[str]) -> Column:
    return _figures(label, told, [-1 if one is None else one.total_seconds() for one in lasted])


def _links(label: str, addresses: Sequence[str]) -> Column:
    return Column("", [f'<a href="{escape(address)}">{escape(label)}</a>' for address in addresses])


def _badge(label: str, tone: str) -> str:
    """tone: as #RRGGBB. On a light one the letters are dark."""
    light = sum(share * int(tone[at : at + 2], 16) for at, share in ((1, 0.3), (3, 0.59), (5, 0.11)))
    letters = "#1B2230" if light > LIGHT else "#FFFFFF"
    return f'<b style="background:{tone};color:{letters}">{escape(label)}</b>'


def _show(*columns: Column, alt: str, most_rows: int = 10) -> None:
    heads = "".join(f"<th{_looks(column)}>{_head(column.label)}</th>" for column in columns)
    rows = "".join(
        "<tr>" + "".join(_cell(column, row) for column in columns) + "</tr>" for row in range(len(columns[0].cells))
    )
    st.html(
        f'{_STYLE}<div class="list" role="region" aria-label="{escape(alt)}" tabindex="0" '
        f'style="max-height:{(most_rows + 1) * ROW_HEIGHT + 2}px"><table aria-label="{escape(alt)}">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _head(label: str) -> str:
    return f"<button>{escape(label)}</button>" if label else ""


def _cell(column: Column, row: int) -> str:
    cell = column.cells[row]
    order = f' data-order="{column.order[row]}"' if column.order is not None else ""
    whole = f' title="{cell}"' if len(cell) > LONG and "<" not in cell else ""
    return f"<td{_looks(column)}{order}{whole}>{cell}</td>"


def _looks(column: Column) -> str:
    return f' style="max-width:{column.widest}px"' + (' class="right"' if column.is_right else "")
