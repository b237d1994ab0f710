"""The dashboard as a server: Streamlit's app under uvicorn, behind our guard."""

from __future__ import annotations

import gc
import logging
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from uvicorn.config import LOGGING_CONFIG

from buslog import logs
from buslog.alerting import channels
from buslog.alerting.watch import Watch
from buslog.config import settings as config
from buslog.console import access, entrance, frame, problems, routes, settings
from buslog.console import login as login_room
from buslog.console.assets import Assets, Files
from buslog.console.guard import LOOPBACK, Guard, is_loopback
from buslog.errors import BuslogError, Misconfigured
from buslog.filter import Filter
from buslog.privacy import set_mask_fields

_log = logging.getLogger("buslog.dashboard")

STOP_SECONDS = 3  # for exports under way
WARMING_SECONDS = 1.0  # for a warming that a stop finds under way


def serve(
    dsn: str, host: str, port: int, *, is_insecure: bool = False, ready: Callable[[], None] = lambda: None
) -> None:
    """Serve the dashboard of a database until SIGINT or SIGTERM. `ready` is called once it answers.

    is_insecure: without a login whoever reaches the address is let in, and may do everything. Raises `Misconfigured`
    for an address that others can reach, unless there is a login, or it is told so, and for alert channels that cannot
    be read.
    """
    check_host(host, is_insecure=is_insecure)
    channels.configured()
    access.use(dsn)
    import streamlit as st  # noqa: PLC0415  (its start is slow: an address is refused before it)

    config = uvicorn.Config(
        st.App(find_app(), **options(is_insecure=is_insecure)), host=host, port=port, log_level="warning",
        access_log=False, server_header=False, ws="websockets-sansio", timeout_graceful_shutdown=STOP_SECONDS,
        ws_per_message_deflate=False,  # a tenth of what a refresh costs, for a second of waiting on a modem
        log_config=None if logs.are_json() else LOGGING_CONFIG,
    )  # fmt: skip
    _Server(config, ready).run()


def options(*, is_insecure: bool = False) -> dict[str, Any]:
    """What makes `st.App` this dashboard: `st.App("app.py", **options())`."""
    login = login_room.configured()
    is_insecure = is_insecure and login is None
    settings.apply(login)
    access.let_anybody_in(is_insecure)
    guard = Middleware(
        Guard, pages=frame.PATHS, routes=[route.path.lstrip("/") for route in routes.ROUTES], login=login,
        hosts=[*LOOPBACK, *login_room.listed(config().allowed_hosts)], is_insecure=is_insecure,
    )  # fmt: skip
    files = Files(["", *frame.PATHS])
    return {
        "routes": [*routes.ROUTES, *([entrance.ROUTE] if login else [])],
        "middleware": [guard, Middleware(Assets, files=files)],
        "lifespan": partial(_lifespan, files=files),
        "on_script_error": problems.handle_script_error,
        "secrets": login.as_secrets() if login else {},
    }


def find_app() -> Path:
    """`app.py`: in the wheel inside the package, in a checkout at its top."""
    package = Path(str(resources.files("buslog")))
    for folder in (package / "_app", package.parents[1]):
        if (folder / "app.py").is_file() and (folder / "pages").is_dir():
            return folder / "app.py"
    raise Misconfigured(field="app.py", rule="is installed with buslog", mend="Install buslog anew.")


def check_host(host: str, *, is_insecure: bool = False) -> None:
    """Raises `Misconfigured` for half a login, and unless only this machine can reach the address, or people log in."""
    if login_room.configured() is None and not is_insecure and host != "localhost" and not is_loopback(host):
        raise Misconfigured(
            field="host", rule="is a loopback address, as long as the dashboard has no login", was=host,
            limit="127.0.0.1, ::1 or localhost",
            mend="Reach it through an SSH tunnel, or set a login up: BUSLOG_OIDC_… in docs/operating.md.",
        )  # fmt: skip


@asynccontextmanager
async def _lifespan(_app: Any, *, files: Files) -> AsyncIterator[None]:
    import pandas  # noqa: F401, ICN001, PLC0415  (pyarrow takes it in with the first table)

    from buslog.console import charts, tables  # noqa: F401, PLC0415  (plotly and pyarrow: before the first reader)

    # Streamlit collects garbage after every run of a script. What is loaded now stays: it need not be looked at
    # again (measured: 34–45 ms a run, 3–4 ms with it).
    gc.collect()
    gc.freeze()
    if logs.are_json():
        logs.take_in_others()
    watch = await run_in_threadpool(_watch)
    # A daemon: a database that hangs holds up neither the start nor the stop.
    warming = threading.Thread(target=_warm, args=(files,), name="buslog-warming", daemon=True)
    warming.start()
    try:
        yield
    finally:
        if watch is not None:
            await run_in_threadpool(watch.stop)
        await run_in_threadpool(warming.join, WARMING_SECONDS)
        access.close()


def _watch() -> Watch | None:
    """Alert rules are looked at here too: "no live worker" has to fire where only the dashboard lives."""
    try:
        dsn = access.dsn()
    except BuslogError as error:
        _log.warning("alert rules are not looked at here: %s", error)
        return None
    watch = Watch(dsn, channels.configured(), config())
    watch.start()
    return watch


def _warm(files: Files) -> None:
    """What others need to know, and what the first reader would wait for: files packed, a connection made, the longest
    read composed, a chart drawn. It looks at nothing in somebody's name.
    """
    from buslog.console import charts  # noqa: PLC0415  (loaded by now)

    _tell_mask()
    files.pack_named()
    try:
        charts.activity(access.insights().overview(Filter()).series)
    except BuslogError as error:
        _log.info("the first page will be slower: %s", error)


def _tell_mask() -> None:
    """What this dashboard masks, every other one masks too. It masks it itself in any case."""
    fields = config().mask_fields
    if fields is not None:
        try:
            set_mask_fields(access.dsn(), fields)
        except BuslogError as error:
            _log.warning("BUSLOG_MASK_FIELDS counts here, but is not stored for others: %s", error)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal and return. uvicorn would raise it again, and nobody would stop the embedded database."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
