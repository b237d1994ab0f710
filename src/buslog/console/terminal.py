"""The line of a terminal that does what a person did, or is about to do, on a screen."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
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
_ON_SUBSCRIPTIONS = {"pause", "resume", "unregister"}
_ON_GROUPS = {"acknowledge": "ack", "assign": "assign", "note": "note", "resolve": "resolve", "reopen": "reopen"}
_MANY = {"replay many", "run now many", "cancel many"}
_WITH_REASON = {
    *_ON_DELIVERIES, *_ON_SUBSCRIPTIONS, *_MANY, *_ON_GROUPS.keys() - {"note"}, "run", "erase", "stop", "set role",
    "set alert", "remove alert",
}  # fmt: skip

_Told = Mapping[str, Any]


def _words(verb: str, message_id: UUID | None, subscription: str | None, told: _Told) -> list[str] | None:
    if verb in _ON_DELIVERIES and message_id:
        return [verb.replace(" ", "-"), str(message_id), *([subscription] if subscription else [])]
    if verb in _ON_SUBSCRIPTIONS and subscription:
        return [verb, subscription]
    if verb in _ON_GROUPS and "group" in told:
        text = {"assign": [str(told.get("to") or "")], "note": [str(told.get("to") or "")]}.get(verb, [])
        return ["failures", _ON_GROUPS[verb], str(told["group"]), *text]
    lines: dict[str, Callable[[], list[str]]] = {
        "run": lambda: ["run", str(told["name"]), "PAYLOAD"],
        "emit": lambda: ["emit", str(told["name"]), "PAYLOAD"],
        **dict.fromkeys(_MANY, lambda: ["runs", "start", str(told["run"])]),
        "stop": lambda: ["runs", "stop", str(told["run"])],
        "erase": lambda: ["erase", "--key", str(told["key"])],
        "export": lambda: _export(told),
        "import": lambda: ["import", "-"],
        "refs backfill": lambda: ["refs", "backfill"],
        "note": lambda: ["note", "TEXT", *_about(told, message_id)],
        "take duty": lambda: ["duty", "take"],
        "hand over duty": lambda: ["duty", "hand-over", str(told.get("note") or "NOTE")],
        "set role": lambda: ["people", "set-role", str(told["person"]), str(told["to"] or "claimed")],
        "save view": lambda: ["views", "save", *(str(told[part]) for part in ("name", "filter")),
                              *_flag("--shared", told["shared"])],
        "rename view": lambda: ["views", "rename", str(told["view"]), str(told["name"])],
        "delete view": lambda: ["views", "delete", str(told["view"])],
        "set alert": lambda: _alert(told["to"], is_new=not told.get("from")),
        "remove alert": lambda: ["alerts", "remove", str(told["from"]["rule"])],
        "test alert": lambda: ["alerts", "test", str(told["channel"])],
    }  # fmt: skip
    try:
        return lines[verb]()
    except (KeyError, TypeError):  # there is none, or the audit says too little for one
        return None


def _export(told: _Told) -> list[str]:
    given = told.get("filter") or {}
    params = parse_qs(given) if isinstance(given, str) else given
    is_audit = told.get("what") == "audit"
    words = ["audit" if is_audit else "export"]
    for name, values in params.items():
        if name == "outcome":
            words.append("--denied")
        elif name == "raised":
            words.append("--raised")
        elif not (is_audit and name == "range"):
            for value in [values] if isinstance(values, str) else values:
                words += [f"--{name.replace('_', '-')}", str(value)]
    return words


def _alert(rule: _Told, *, is_new: bool) -> list[str]:
    kind = str(rule["kind"])
    words = ["alerts", "add", str(rule["rule"]), "--kind", kind.replace(" ", "-")]
    if kind == "failure rate":
        words += ["--threshold", f"{round(rule['threshold'] * 100, 3):g}%", "--at-least", str(rule["at_least"])]
    elif kind != "new failure group":
        words += ["--threshold", _length(rule["threshold"])]
    if kind in {"failure rate", "new failure group"}:
        words += ["--window", _length(rule["window_seconds"])]
    if rule["subscription"]:
        words += ["--subscription", str(rule["subscription"])]
    for channel in rule["channels"]:
        words += ["--channel", str(channel)]
    if rule["quiet_from"]:
        words += ["--quiet", f"{rule['quiet_from'][:5]}-{rule['quiet_until'][:5]}", "--zone", str(rule["zone"])]
    remind = rule["remind_seconds"]
    words += ["--remind", _length(remind) if remind else "never"]
    return [*words, *_flag("--off", not rule["enabled"]), *_flag("--replace", not is_new)]


def _length(seconds: float) -> str:
    """Such as 90s, 15m, 7d."""
    whole = max(round(seconds), 1)
    return next(
        f"{whole // size}{unit}" for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)) if not whole % size
    )


def _about(told: _Told, message_id: UUID | None) -> list[str]:
    return ["--key", str(told["key"])] if "key" in told else ["--message", str(message_id)]


def _flag(name: str, is_given: bool) -> list[str]:
    return [name] if is_given else []
