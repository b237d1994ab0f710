"""Notices on their way: claimed, sent, settled. A claim is one transaction, so that no two processes send the same one;
who dies after sending and before settling leaves a claim that expires, and then it is sent a second time.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from buslog import db
from buslog.alerting.channels import Channels
from buslog.errors import BuslogError

log = logging.getLogger("buslog.alerts")

CLAIM_SECONDS = 120.0  # longer than a send can take
FIRST_DELAY, LONGEST_DELAY = 15.0, 900.0  # seconds between tries; each doubles
GIVE_UP_AFTER = timedelta(hours=24)


def due_channels(connection: db.Connection, channels: Channels) -> list[str]:
    """Those of the channels that something is to be sent to now."""
    if not channels.names:
        return []
    return [row[0] for row in connection.execute(db.query("notices_due"), {"channels": channels.names})]


def send_due(dsn: str, channels: Channels, channel: str) -> int:
    """Send what is due to one channel, one after the other, until nothing is or it fails. Returns how many were sent.

    Raises `DatabaseUnavailable`.
    """
    sent = 0
    with db.connect(dsn) as connection, db.translated(dsn):
        while row := connection.execute(
            db.query("notice_claim"), {"channel": channel, "claim": CLAIM_SECONDS}
        ).fetchone():
            notice, tries, occasion, title, body, made_at = row
            error = channels.send(channel, title, body, is_good=occasion == "resolved")
            values = {"notice": notice, "tries": tries, "error": error or None, "state": "sent", "delay": 0.0}
            if error:
                is_hopeless = datetime.now(UTC) - made_at > GIVE_UP_AFTER
                delay = min(FIRST_DELAY * 2 ** min(tries - 1, 10), LONGEST_DELAY)
                values |= {"state": "given up" if is_hopeless else "waiting", "delay": delay}
                log.warning("alert channel %s: %s (try %d)", channel, error, tries)
            connection.execute(db.query("notice_settle"), values)
            if error:
                break
            sent += 1
    return sent


def send_due_safely(dsn: str, channels: Channels, channel: str) -> None:
    """The same for a thread of its own."""
    try:
        send_due(dsn, channels, channel)
    except BuslogError as error:
        log.warning("alert channel %s: %s", channel, error)
