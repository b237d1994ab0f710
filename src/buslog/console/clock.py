"""Times on screens: UTC, 24 hours, the zone said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

ZONE = "UTC"


def now() -> datetime:
    return datetime.now(UTC)


def stamp(moment: datetime | None) -> str:
    """Such as 2026-11-23 16:14:08."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def to_the_millisecond(moment: datetime | None) -> str:
    """Such as 2026-11-23 16:14:08.266."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] if moment else ""


def utc(moment: datetime | None) -> str:
    """For what leaves the screen: always UTC, and saying so."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def time_of_day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%H:%M:%S")


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
