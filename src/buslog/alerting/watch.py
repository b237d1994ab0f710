"""The loop: whichever process holds the lock looks at the rules; every process sends what is due to the channels it
knows. A thread beside a worker or the dashboard.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
from datetime import timedelta

from buslog import db
from buslog.alerting import notices
from buslog.alerting.channels import Channels
from buslog.alerting.evaluation import Happened, Terms, look
from buslog.config import Settings
from buslog.errors import BuslogError

log = logging.getLogger("buslog.alerts")

STOP_SECONDS = 1.0  # for a look under way, which takes milliseconds
LOOKS_TO_BELIEVE = 2  # so many looks find that it is over before it is said
STANDSTILL = 60.0  # seconds after which a process that says nothing, in a look or between two, loses the lock


class Watch:
    """Looks every `alert_every` seconds of the settings, from `start` to `stop`."""

    def __init__(self, dsn: str, channels: Channels, settings: Settings) -> None:
        every = settings.alert_every
        self._dsn = dsn
        self._channels = channels
        self._every = every
        over_after = timedelta(seconds=LOOKS_TO_BELIEVE * every)
        looker = f"{socket.gethostname()}:{os.getpid()}"
        self._kept = timedelta(days=settings.alert_days)
        self._terms = Terms(looker, over_after, settings.dashboard_url, settings.tz)
        self._connection: db.Connection | None = None
        self._is_holder = False
        self._sending: dict[str, threading.Thread] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="buslog-alerts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, which frees the lock. What is being sent is not waited for, nor a database that hangs: the
        end of the process frees the lock as well.
        """
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=STOP_SECONDS)

    def once(self) -> list[Happened] | None:
        """One look, and all that is due sent; None where another process has the lock."""
        try:
            happened = self._look()
            for channel in notices.due_channels(self._connected(), self._channels):
                notices.send_due(self._dsn, self._channels, channel)
        finally:
            self._leave()
        return happened

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                for event in self._look() or []:
                    log.info("alert %s: %s", event.occasion, event.rule)
                self._send()
            except BuslogError as error:
                log.warning("alerts: %s", error)
                self._leave()
            except Exception:
                log.exception("alerts: unforeseen error; going on")
                self._leave()
            self._stop.wait(self._every * random.uniform(0.9, 1.1))  # noqa: S311  (jitter)
        self._leave()

    def _look(self) -> list[Happened] | None:
        connection = self._connected()
        with db.translated(self._dsn):
            if not self._is_holder:
                row = connection.execute(db.query("alert_lock")).fetchone()
                self._is_holder = bool(row and row[0])
            if not self._is_holder:
                return None
            happened = look(connection, self._terms)
            connection.execute(db.query("forget_alerts"), {"keep": self._kept})
            return happened

    def _send(self) -> None:
        """Each channel in a thread of its own: one that hangs holds up no other."""
        with db.translated(self._dsn):
            due = notices.due_channels(self._connected(), self._channels)
        for channel in due:
            busy = self._sending.get(channel)
            if busy is None or not busy.is_alive():
                sender = threading.Thread(
                    target=notices.send_due_safely, args=(self._dsn, self._channels, channel),
                    name=f"buslog-alerts-{channel}", daemon=True,
                )  # fmt: skip
                self._sending[channel] = sender
                sender.start()

    def _connected(self) -> db.Connection:
        if self._connection is None:
            self._connection = db.connect(self._dsn)
            with db.translated(self._dsn):
                # A process that stands still, or is cut off, must not hold the lock for ever.
                idle = int(max(STANDSTILL, 4 * self._every))
                self._connection.execute(db.query("alert_session"), {"idle": f"{idle}s"})
        return self._connection

    def _leave(self) -> None:
        connection, self._connection, self._is_holder = self._connection, None, False
        if connection is not None:
            connection.close()
