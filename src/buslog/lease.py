"""The beat: renews a worker's lease from a thread of its own, so that a blocked event loop does not look dead."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence

from buslog import db

log = logging.getLogger("buslog.worker")

BEATS_PER_LEASE = 4


class Beat:
    """Beats until stopped, or until the worker's event loop is closed: nothing of what is leased to it would ever run.
    `lost` is called, in that loop, when the worker was retired meanwhile.
    """

    def __init__(self, dsn: str, worker: int, hosts: Sequence[int], lease: float, lost: Callable[[], object]) -> None:
        self._dsn = dsn
        self._worker = worker
        self.hosts = list(hosts)
        self._lease = lease
        self._loop = asyncio.get_running_loop()
        self._lost = lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="buslog-beat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; waits for a beat under way, which the connection's time-outs bound."""
        self._stop.set()
        self._thread.join(timeout=self._lease)

    def _run(self) -> None:
        connection: db.Connection | None = None
        while not self._stop.wait(self._lease / BEATS_PER_LEASE) and not self._loop.is_closed():
            try:
                connection = connection or db.connect(self._dsn)
                with db.translated(self._dsn):
                    renewed = connection.execute(db.query("beat"), (self._lease, self.hosts, self._worker)).fetchone()
            except Exception as error:  # noqa: BLE001  (a beat that ends unheard loses the lease)
                log.warning("lease not renewed: %s", error)
                if connection is not None:
                    connection.close()
                connection = None
                continue
            if renewed is None:
                with contextlib.suppress(RuntimeError):  # closed meanwhile
                    self._loop.call_soon_threadsafe(self._lost)
                break
        if connection is not None:
            connection.close()
