"""The server: its version, what an acknowledged emit rests on, its clock, its connections, who holds vacuum back."""

from __future__ import annotations

import time

from buslog import db
from buslog.doctor.model import Finding, Level, Look, spoken
from buslog.errors import Misconfigured

CLOCK_SECONDS = 2.0  # of difference, beyond what the round trip leaves unknown
CROWDED, FULL = 0.8, 0.95  # of the connections that ordinary roles may have
PINNED_SECONDS = 60.0
LONG_PINNED_SECONDS = 3600.0


def check_version(look: Look) -> list[Finding]:
    """Recent enough."""
    number = look.rows("doctor_settings")[0][0]
    try:
        db.check_server_version(str(number))
    except Misconfigured as error:
        return [Finding("server", Level.BAD, f"PostgreSQL {number // 10000}, too old for buslog", error.mend)]
    return [Finding("server", Level.OK, f"PostgreSQL {number // 10000}.{number % 10000}")]


def check_durability(look: Look) -> list[Finding]:
    """What a commit means: that it survives a crash."""
    _, fsync, full_page_writes, synchronous_commit, autovacuum, track_counts, _ = look.rows("doctor_settings")[0]
    lost = "an acknowledged emit can be lost in a crash"
    switches = (
        ("fsync", fsync, f"{lost}, and the whole database with it"),
        ("full_page_writes", full_page_writes, "a crash in the middle of a write can damage the database"),
        ("synchronous_commit", synchronous_commit, lost),
        ("autovacuum", autovacuum, "dead rows pile up and every claim gets slower"),
        ("track_counts", track_counts, "autovacuum does not know which tables need it"),
    )
    mend = "ALTER SYSTEM SET {} = on, and reload; or unset it where the role or the database sets it."
    off = [
        Finding("durability", Level.BAD, f"{name} is off: {so}", mend.format(name))
        for name, value, so in switches
        if value == "off"
    ]
    kept = ", ".join(name for name, value, _ in switches if value != "off")
    return off or [Finding("durability", Level.OK, f"on: {kept}")]


def check_clock(look: Look) -> list[Finding]:
    """This machine's against the database's, by which leases, delays and times on screens go."""
    before = time.time()
    there = look.rows("doctor_settings")[0][-1]
    after = time.time()
    skew, unknown = there - (before + after) / 2, (after - before) / 2
    if abs(skew) - unknown <= CLOCK_SECONDS:
        return [Finding("clock", Level.OK, f"within {abs(skew) + unknown:.1f} s of this machine's")]
    found = f"the database is {spoken(abs(skew))} {'ahead of' if skew > 0 else 'behind'} this machine"
    return [Finding("clock", Level.WARN, found, "Set both by NTP: times in logs and in `at=` disagree with the Log's.")]


def check_connections(look: Look) -> list[Finding]:
    """How many more the server takes."""
    ((used, most, kept),) = look.rows("doctor_connections")
    places = most - kept
    found = f"{used} of {places} in use (max_connections {most}, {kept} kept for superusers)"
    mend = "Raise max_connections, run fewer processes (a worker takes up to 7), or put a pooler before other clients."
    if used >= places * CROWDED:
        return [Finding("connections", Level.BAD if used >= places * FULL else Level.WARN, found, mend)]
    return [Finding("connections", Level.OK, found)]


def check_horizon(look: Look, *, seconds: float = PINNED_SECONDS) -> list[Finding]:
    """Who has held a snapshot for longer than `seconds`: vacuum may not remove what died since."""
    mends = {
        "transaction": "Let it finish, or end it: SELECT pg_terminate_backend({pid}).",
        "idle in transaction": "Its program forgot to commit: mend that, set idle_in_transaction_session_timeout; "
        "to end it now: SELECT pg_terminate_backend({pid}).",
        "prepared transaction": "Commit or roll it back: ROLLBACK PREPARED '{pid}'.",
        "replication slot": "Its reader holds rows back: see that it keeps up, or turn hot_standby_feedback off.",
        "unused replication slot": "Nobody reads it, and WAL and rows are kept for it: "
        "SELECT pg_drop_replication_slot('{pid}').",
    }
    findings = []
    for what, who, application, user, age in look.rows("doctor_horizon", seconds=seconds):
        since = f", for {spoken(age)}" if age is not None else ""
        by = f" by {user}" if user else ""
        level = Level.BAD if age is not None and age >= LONG_PINNED_SECONDS else Level.WARN
        mend = mends[what].format(pid=who.removeprefix("process "))
        findings.append(Finding("horizon", level, f"{what}: {who} ({application}){by}{since}", mend))
    ((unseen,),) = look.rows("doctor_unseen")
    if unseen:
        mend = "Grant the role pg_read_all_stats."
        findings.append(Finding("horizon", Level.UNSEEN, f"{unseen} processes of other roles", mend))
    return findings or [Finding("horizon", Level.OK, "nobody holds vacuum back")]
