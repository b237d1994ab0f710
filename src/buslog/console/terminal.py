"""The line of a terminal that does what a person did, or is about to do, on a screen."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID


def cli_line(
    verb: str, *, message_id: UUID | None = None, subscription: str | None = None, reason: str | None = None,
    outcome: Mapping[str, Any] | None = None,
) -> str | None:  # fmt: skip
    """The line for a verb of the audit; None where there is none.

    outcome: as it stands in the audit, or would: a run's number, a key, a filter. What nobody keeps, such as the
    payload of a command, stands as a word in capitals.
    """
    told = outcome or {}
    words = _words(verb, message_id, subscription, told)
    if words is None:
        return None
    if reason and verb in _WITH_REASON:
        words += ["--reason", reason]
    return shlex.join(["buslog", *words])


_ON_DELIVERIES = {"replay", "run now", "cancel"}
_ON_SUBSCRIPTIONS = {"pause", "resume"}
_WITH_REASON = {
    *_ON_DELIVERIES, *_ON_SUBSCRIPTIONS, "run", "erase", "stop", "replay many", "run now many", "cancel many",
}  # fmt: skip


def _words(
    verb: str, message_id: UUID | None, subscription: str | None, told: Mapping[str, Any]
) -> list[str] | None:  # fmt: skip
    if verb in _ON_DELIVERIES and message_id:
        return [verb.replace(" ", "-"), str(message_id), *([subscription] if subscription else [])]
    if verb in _ON_SUBSCRIPTIONS and subscription:
        return [verb, subscription]
    if verb in {"run", "emit"} and "name" in told:
        return [verb, str(told["name"]), "PAYLOAD"]
    if verb in {"replay many", "run now many", "cancel many"} and "run" in told:
        return ["runs", "start", str(told["run"])]
    if verb == "stop" and "run" in told:
        return ["runs", "stop", str(told["run"])]
    if verb == "erase" and "key" in told:
        return ["erase", "--key", str(told["key"])]
    if verb == "export":
        return _export(told)
    if verb == "hand over duty":
        return ["duty", "hand-over", str(told.get("note") or "NOTE")]
    return ["duty", "take"] if verb == "take duty" else None


def _export(told: Mapping[str, Any]) -> list[str]:
    given = told.get("filter") or {}
    params = parse_qs(given) if isinstance(given, str) else given
    command = "audit" if told.get("what") == "audit" else "export"
    words = [command]
    for name, values in params.items():
        if name == "outcome":
            words.append("--denied")
        elif name != "range":
            for value in [values] if isinstance(values, str) else values:
                words += [f"--{name}", str(value)]
    return words
