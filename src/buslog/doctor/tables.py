"""The tables: partitions ahead of time, vacuum of the hot ones, indexes and the plans that need them."""

from __future__ import annotations

from buslog.doctor.model import Finding, Level, Look, spoken

# Storage parameters of the tables that change all the time, as the migrations set them.
HOT_TABLES: dict[str, dict[str, str]] = {
    "deliveries": {
        "fillfactor": "75",
        "autovacuum_vacuum_scale_factor": "0.01",
        "autovacuum_vacuum_threshold": "200",
        "autovacuum_analyze_scale_factor": "0.05",
        "autovacuum_vacuum_cost_delay": "0",
    },
    "flow": {"fillfactor": "50"},
    "workers": {},
    "dedupe": {},
}
READY_INDEX = "deliveries_ready"
MANY_DEAD = 10_000
DEAD_FOR_LIVE = 2
WEEK = 7 * 86_400.0


def check_partitions(look: Look) -> list[Finding]:
    """Made ahead of time; an emit makes a missing one in need, but slowly."""
    ((seconds,),) = look.rows("doctor_partitions")
    mend = "Run `buslog migrate`; workers make them too: see that one runs, and what it logs."
    if seconds is None or seconds <= 0:
        return [Finding("partitions", Level.BAD, "the present month has none", mend)]
    found = f"made for the next {spoken(seconds)}"
    return [
        Finding("partitions", Level.OK, found) if seconds > WEEK else Finding("partitions", Level.WARN, found, mend)
    ]


def check_tables(look: Look) -> list[Finding]:
    """Vacuum of the hot tables: switched on, tuned as this build tunes it, and keeping up."""
    findings = []
    for table, options, live, dead, vacuumed in look.rows("doctor_tables", tables=list(HOT_TABLES)):
        given = dict(option.split("=", 1) for option in options)
        if given.get("autovacuum_enabled", "true") in {"false", "off", "0", "no"}:
            mend = f"ALTER TABLE buslog.{table} RESET (autovacuum_enabled)"
            findings.append(Finding("tables", Level.BAD, f"{table}: autovacuum is off", mend))
        wanted = HOT_TABLES[table]
        other = {name: value for name, value in wanted.items() if given.get(name) != value}
        if other:
            were = ", ".join(f"{name} {given.get(name, 'unset')}" for name in other)
            mend = f"ALTER TABLE buslog.{table} SET ({', '.join(f'{name} = {value}' for name, value in other.items())})"
            findings.append(Finding("tables", Level.WARN, f"{table}: {were}", mend))
        ago = "never" if vacuumed is None else f"{spoken(vacuumed)} ago"
        if dead > MANY_DEAD and dead > DEAD_FOR_LIVE * live:
            found = f"{table}: {dead:,} dead rows to {live:,} live ones; last autovacuum: {ago}"
            mend = f"Mend what `horizon` and `tables` find, then VACUUM buslog.{table}"
            findings.append(Finding("tables", Level.WARN, found, mend))
        elif wanted:
            found = f"{table}: {live:,} live rows, {dead:,} dead; last autovacuum: {ago}"
            findings.append(Finding("tables", Level.OK, found))
    return findings


def check_indexes(look: Look) -> list[Finding]:
    """Built to the end."""
    broken = [row[0] for row in look.rows("doctor_indexes")]
    if not broken:
        return [Finding("indexes", Level.OK, "all valid")]
    return [
        Finding("indexes", Level.BAD, f"{index} is not valid", f"REINDEX INDEX CONCURRENTLY {index}")
        for index in broken
    ]


def check_plans(look: Look) -> list[Finding]:
    """A claim and the newest page of the Log read an index in its order, also where the table is small."""
    claim, page = look.plan("doctor_plan_claim"), look.plan("doctor_plan_log")
    findings = []
    reads = {node["Node Type"]: node.get("Index Name") for node in claim}
    if reads.get("Index Scan", reads.get("Index Only Scan")) != READY_INDEX or "Sort" in reads:
        mend = f"The index buslog.{READY_INDEX} is gone or another: make it as the migration 0001 does."
        findings.append(Finding("plans", Level.BAD, "a claim does not read its index", mend))
    scans = {node["Node Type"] for node in page if str(node.get("Relation Name", "")).startswith("messages_")}
    if "Seq Scan" in scans:
        mend = "The primary key of buslog.messages is gone or another: make it as the migration 0001 does."
        findings.append(Finding("plans", Level.BAD, "the newest page of the Log is sorted, not read in order", mend))
    return findings or [Finding("plans", Level.OK, "a claim and the Log's page read their indexes")]
