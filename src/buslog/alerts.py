"""What people do about alert rules: set one, remove one, try a channel. Each audited in its own transaction."""

from __future__ import annotations

from typing import Any

from buslog import db
from buslog.alerting.channels import EXAMPLE, Channels
from buslog.alerting.model import Rule, check_channel
from buslog.desk import Desk
from buslog.errors import NotFound, OperationRefused, did_you_mean


class Alerts(Desk):
    """The alert rules of one database."""

    def set_rule(self, rule: Rule, *, is_new: bool = False, reason: str = "") -> None:
        """Add a rule, or change the one of that name: its open alerts end untold, and it begins anew.

        is_new: raises `OperationRefused` when there is one of that name.
        """
        with self._transaction("set alert") as connection:
            before = _rule(connection, rule.name)
            if before is not None and is_new:
                raise OperationRefused(
                    field="rule",
                    rule="has a name of its own",
                    was=rule.name,
                    mend="Choose another, or change that one.",
                )
            connection.execute(db.query("alert_end"), {"rule": rule.name})
            connection.execute(db.query("alert_rule_set"), _columns(rule))
            self._audit(connection, "set alert", {"from": before, "to": _rule(connection, rule.name)}, reason=reason)

    def remove_rule(self, name: str, *, reason: str = "") -> None:
        """Remove a rule; its alerts stay as history. Raises `NotFound`."""
        with self._transaction("remove alert") as connection:
            before = _rule(connection, name)
            if before is None:
                known = [row[1] for row in connection.execute(db.query("alert_rules"))]
                raise NotFound(field="rule", rule="exists", was=name, mend=did_you_mean(name, known))
            connection.execute(db.query("alert_end"), {"rule": name})
            connection.execute(db.query("alert_rule_remove"), {"rule": name})
            self._audit(connection, "remove alert", {"from": before}, reason=reason)

    def test(self, channel: str, channels: Channels, *, reason: str = "") -> None:
        """Send a test to a channel of this process. Raises `NotFound`, and `OperationRefused` when it was not taken."""
        with self._transaction("test alert") as connection:
            if channel not in channels:
                raise NotFound(
                    field="channel", rule="is in BUSLOG_ALERT_CHANNELS of this process", was=check_channel(channel),
                    mend=did_you_mean(channel, channels.names) if channels.names else f"Set it: {EXAMPLE}",
                )  # fmt: skip
            self._audit(connection, "test alert", {"channel": channel}, reason=reason)
        error = channels.send(
            channel,
            "buslog: a test",
            f"{self._actor.name} tries whether alerts arrive here. All is well.",
            is_good=True,
        )
        if error:
            raise OperationRefused(
                field=f"channel {channel}", rule="takes a test", was=error,
                mend="Look at its entry in BUSLOG_ALERT_CHANNELS, and whether this machine reaches it.",
            )  # fmt: skip


def _rule(connection: db.Connection, name: str) -> dict[str, Any] | None:
    row = connection.execute(db.query("alert_rule"), {"rule": name}).fetchone()
    return dict(row[0]) if row else None


def _columns(rule: Rule) -> dict[str, Any]:
    quiet = rule.quiet
    return {
        "rule": rule.name, "kind": rule.kind.value, "threshold": rule.threshold, "at_least": rule.at_least,
        "window_seconds": rule.window.total_seconds(), "subscription": rule.subscription,
        "channels": list(rule.channels), "quiet_from": quiet and quiet.start, "quiet_until": quiet and quiet.end,
        "zone": quiet.zone if quiet else "UTC",
        "remind_seconds": rule.remind.total_seconds() if rule.remind else None, "enabled": rule.enabled,
    }  # fmt: skip
