"""Times on screens: in the team's zone (`BUSLOG_TZ`) or, by a reader's switch, in UTC; 24 hours; the zone said.

The switch is the reader's, kept in the session and not in the address: a link shows its reader their own time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from buslog.config import settings
from buslog.console import words

_IS_UTC = "clock.is_utc"
_SWITCH = "clock.switch"


def now() -> datetime:
    return datetime.now(UTC)


def zone() -> str:
    """The name of the zone that times are shown in, such as Europe/Berlin."""
    is_utc = get_script_run_ctx(suppress_warning=True) is not None and st.session_state.get(_IS_UTC, False)
    return "UTC" if is_utc else settings().tz


def local(moment: datetime) -> datetime:
    """The moment on the reader's clock."""
    return moment.astimezone(ZoneInfo(zone()))


def from_clock(reading: datetime) -> datetime:
    """The moment of what the reader's clock shows; of an hour that it shows twice the first."""
    return reading.replace(tzinfo=ZoneInfo(zone())).astimezone(UTC)


def switch() -> None:
    """The reader's choice between the team's zone and UTC, where these differ."""
    team = settings().tz
    if team == "UTC":
        return
    st.session_state[_SWITCH] = zone()
    st.segmented_control(
        words.TIMES_IN, [team, "UTC"], key=_SWITCH, on_change=_switched, label_visibility="collapsed", required=True
    )


def _switched() -> None:
    st.session_state[_IS_UTC] = st.session_state[_SWITCH] == "UTC"


def stamp(moment: datetime | None) -> str:
    """Such as 2026-11-23 16:14:08."""
    return local(moment).strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def to_the_millisecond(moment: datetime | None) -> str:
    """Such as 2026-11-23 16:14:08.266."""
    return local(moment).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] if moment else ""


def utc(moment: datetime | None) -> str:
    """For what leaves the screen: always UTC, and saying so."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def time_of_day(moment: datetime) -> str:
    return local(moment).strftime("%H:%M:%S")


def day(moment: datetime) -> str:
    """Such as Monday 2026-11-23."""
    return moment.astimezone(UTC).strftime("%A %Y-%m-%d")


def lasted(length: timedelta) -> str:
    """Such as 45 ms, 3.2 s, 4 min, 5 h, 12 days."""
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    for unit, size, limit in (("min", 60, 90 * 60), ("h", 3600, 48 * 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"


def ago(moment: datetime) -> str:
    return f"{lasted(now() - moment)} ago"


def until(moment: datetime) -> str:
    left = moment - now()
    return f"in {lasted(left)}" if left > timedelta() else "now"
