"""The work: subscriptions that nobody hosts, that are paused; workers that are gone; series that nobody keeps."""

from __future__ import annotations

from buslog.doctor.model import Finding, Level, Look, spoken

RESCUE_SECONDS = 60.0  # a live worker has retired a lapsed one by then
SHOWN = 20  # findings of one kind
BEHIND_MUCH, BEHIND_SLOW = 200_000, 1_000_000  # messages that each look at a chart counts: 0.2 s, 1 s
BEHIND_SECONDS = 300.0  # workers fold every few seconds


def check_subscriptions(look: Look) -> list[Finding]:
    """Hosted by a live worker, where publishers wait for it above all; and not paused over a backlog."""
    rows = look.rows("doctor_subscriptions")
    findings, unhosted = [], []
    for name, is_active, paused, opened, hosts, waiting, oldest, is_sync in rows:
        backlog = f"deliveries waiting: {waiting:,}"
        if oldest is not None:
            backlog += f", the next for {spoken(oldest)}"
        if is_sync and is_active and not hosts:
            found = f"no live worker hosts {name}, which is sync: each emit of its names waits BUSLOG_SYNC_WAIT for it"
            mend = f"Start a worker that carries its code; if its code is gone for good, `buslog unregister {name}`."
            findings.append(Finding("subscriptions", Level.BAD, f"{found}; {backlog}" if waiting else found, mend))
        elif waiting and paused is not None:
            found = f"{name} has been paused for {spoken(paused)}; {backlog}"
            findings.append(_warn(found, f"`buslog resume {name}`, when its cause is gone."))
        elif waiting and not hosts:
            mend = (
                "Start a worker that carries its code: `buslog worker MODULE:BUS`; cancel them if it is gone for good."
            )
            findings.append(Finding("subscriptions", Level.BAD, f"no live worker hosts {name}; {backlog}", mend))
        elif is_active and not hosts:
            unhosted.append(name)
        if opened is not None:
            found = f"the circuit of {name} has been open for {spoken(opened)}: what it calls is held to be down"
            findings.append(_warn(found, "Mend what it calls; a probe that succeeds closes the circuit."))
    if unhosted:
        more = f" and {len(unhosted) - SHOWN} more" if len(unhosted) > SHOWN else ""
        found = f"no live worker hosts {', '.join(unhosted[:SHOWN])}{more}; nothing waits for it yet"
        mend = (
            "Start a worker that carries the code; one that was removed for good is taken off by `buslog unregister`."
        )
        findings.append(_warn(found, mend))
    active = sum(row[1] for row in rows)
    return _capped(findings) or [Finding("subscriptions", Level.OK, f"{active} on the bus, all hosted by live workers")]


def check_leases(look: Look, *, seconds: float = RESCUE_SECONDS) -> list[Finding]:
    """Workers that stopped beating are retired and their deliveries rescued, by any live worker."""
    findings = []
    for worker, age, running in look.rows("doctor_leases"):
        if not running or (age is not None and age < seconds):
            continue
        who = f"{worker} stopped beating {spoken(age)} ago" if worker else "a worker that is gone"
        mend = "Start a worker, of any code: it rescues them. If one runs, read what it logs."
        findings.append(Finding("leases", Level.BAD, f"{who}; deliveries still running under it: {running:,}", mend))
    return findings or [Finding("leases", Level.OK, "no delivery runs under a worker that is gone")]


def check_series(look: Look) -> list[Finding]:
    """What charts read is kept by workers; what they have not added yet is counted by each look."""
    ((is_known, behind, oldest),) = look.rows("doctor_series", places=BEHIND_SLOW + 1)
    told = f"{min(behind, BEHIND_SLOW):,}{'+' if behind > BEHIND_SLOW else ''} messages"
    age = f", the first of {spoken(oldest)} ago" if oldest is not None else ""
    mend = "Start a worker, of any code: it catches up by itself. If one runs, read what it logs."
    if behind > BEHIND_SLOW:
        found = f"the series lack {told}{age}: charts of them take longer than a look may"
        return [Finding("series", Level.BAD, found, mend)]
    if behind > BEHIND_MUCH or (behind and oldest is not None and oldest > BEHIND_SECONDS):
        return [Finding("series", Level.WARN, f"the series lack {told}{age}; each look at a chart counts them", mend)]
    if not is_known and behind:
        return [Finding("series", Level.OK, f"not begun; {told} to add")]
    return [Finding("series", Level.OK, f"they lack {told}" if behind else "up to date")]


def _warn(found: str, mend: str) -> Finding:
    return Finding("subscriptions", Level.WARN, found, mend)


def _capped(findings: list[Finding]) -> list[Finding]:
    more = len(findings) - SHOWN
    return [
        *findings[:SHOWN],
        *([Finding("subscriptions", Level.BAD, f"and {more} more like these")] if more > 0 else ()),
    ]
