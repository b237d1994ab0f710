"""up, worker, dashboard: what runs until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import importlib
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import click

from buslog import db
from buslog.alerting import channels
from buslog.alerting.watch import Watch
from buslog.bus import Bus
from buslog.cli.common import as_configuration, examples, give, opened, place_of, say, start_logging, wants_json
from buslog.config import settings
from buslog.embedded import find_home
from buslog.errors import DatabaseUnavailable, Misconfigured, did_you_mean
from buslog.supervise import Child, Supervisor

WORKER_READY_SECONDS = 30.0  # then traffic starts without it
DASHBOARD_GRACE = 10.0

host_option = click.option("--host", help="Address to listen on; default 127.0.0.1 (BUSLOG_HOST).")
port_option = click.option("--port", type=click.IntRange(1, 65535), help="Port; default 8501 (BUSLOG_PORT).")

insecure_option = click.option(
    "--insecure", is_flag=True, help="Without a login: let in whoever reaches the address, as an admin."
)


# ── worker ──────────────────────────────────────────────────────────────────────


@click.command(epilog=examples("buslog worker examples.freight:bus"))
@click.argument("bus", metavar="MODULE:BUS")
def worker(bus: str) -> None:
    """Run the subscribers of a Bus until Ctrl-C or SIGTERM.

    MODULE:BUS names a module and the Bus in it; the working directory is on sys.path. Any number of workers may run
    on one database. Stopping lets what runs finish (BUSLOG_GRACE); a second Ctrl-C exits at once.
    """
    start_logging(worker_name())
    asyncio.run(host(load_bus(bus)))


async def host(bus: Bus) -> None:
    """Run a bus until SIGINT or SIGTERM. Raises what `Bus.start` raises, a missing database as `Misconfigured`."""
    told = asyncio.Event()

    def stop() -> None:
        if told.is_set():
            os._exit(128 + signal.SIGINT)  # what ran is rescued when the lease expires
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    watched = channels.configured()
    with as_configuration():
        await bus.start()
    watch = Watch(bus.dsn or "", watched, settings())
    watch.start()
    try:
        say(f"Database: {bus.database}")
        say("The worker runs; Ctrl-C stops it.")
        give({"database": bus.database, "worker": worker_name()})
        await told.wait()
        say("Stopping: what runs may finish. Ctrl-C again exits at once.")
    finally:
        await asyncio.to_thread(watch.stop)
        await bus.stop()


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def load_bus(text: str) -> Bus:
    """The Bus that `module:name` names. Raises `Misconfigured`."""
    module_name, colon, attribute = text.partition(":")
    if not (module_name and colon and attribute):
        raise Misconfigured(
            field="MODULE:BUS", rule="names a module and the Bus in it", was=text,
            mend="Write it as examples.freight:bus.",
        )  # fmt: skip
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001  (a module's own code may raise anything)
        raise _not_imported(module_name, error) from None
    found = getattr(module, attribute, None)
    if isinstance(found, Bus):
        return found
    there = [name for name, value in vars(module).items() if isinstance(value, Bus)]
    raise Misconfigured(
        field="MODULE:BUS", rule=f"names a Bus in {module_name}",
        was=f"{attribute}, which is {'not there' if found is None else f'a {type(found).__name__}'}",
        mend=did_you_mean(attribute, there) if there else f"Write `{attribute} = Bus()` in that module.",
    )  # fmt: skip


def _not_imported(module_name: str, error: Exception) -> Misconfigured:
    if isinstance(error, ModuleNotFoundError) and error.name and f"{module_name}.".startswith(f"{error.name}."):
        return Misconfigured(
            field="MODULE:BUS", rule="names a module that can be imported", was=f"no module {error.name}",
            mend=f"Start buslog in the folder that holds {module_name.split('.', maxsplit=1)[0]}, or install it.",
        )  # fmt: skip
    return Misconfigured(
        field="MODULE:BUS", rule=f"names a module that can be imported: {module_name} raised",
        was=f"{type(error).__name__} at {place_of(error)}: {error}", mend="Correct that module.",
    )  # fmt: skip


# ── dashboard ───────────────────────────────────────────────────────────────────


@click.command(epilog=examples("buslog dashboard", "buslog dashboard --port 8600"))
@host_option
@port_option
@insecure_option
def dashboard(host: str | None, port: int | None, *, insecure: bool) -> None:
    """Serve the dashboard until Ctrl-C or SIGTERM.

    Beyond loopback only with a login (BUSLOG_OIDC_…), or --insecure.
    """
    from buslog.console.server import check_host, serve  # noqa: PLC0415  (streamlit; the other commands need none of it)

    start_logging()
    where = _address(host, port)
    check_host(where[0], is_insecure=insecure)
    with opened() as database:
        if insecure:
            say("Nobody logs in: whoever reaches this address may do everything.")
        serve(database.dsn, *where, is_insecure=insecure, ready=lambda: _announce_dashboard(url_of(*where)))


def _announce_dashboard(url: str) -> None:
    say(f"The dashboard runs on {url}; Ctrl-C stops it.")
    give({"url": url})


def url_of(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _address(host: str | None, port: int | None) -> tuple[str, int]:
    """Host and port, from options or settings, that nobody listens on. Raises `Misconfigured`."""
    address = (host or settings().host, port or settings().port)
    try:
        with socket.create_server(address, family=_family(address[0])):  # SO_REUSEADDR, as the server itself
            return address
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise Misconfigured(
            field="dashboard address", rule="is free" if taken else "can be listened on",
            was=f"{address[0]}:{address[1]}, {'where another program listens' if taken else error.strerror}",
            mend="Choose another with --port or BUSLOG_PORT.",
        ) from None  # fmt: skip


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


# ── up ──────────────────────────────────────────────────────────────────────────


@click.command(
    epilog=examples(
        "buslog up",
        "buslog up examples.freight:bus --also examples.freight.traffic",
        "BUSLOG_DSN=postgresql://app@db.example.com/app buslog up shop.events:bus",
    )
)
@click.argument("bus", metavar="[MODULE:BUS]", required=False)
@click.option("--also", "modules", multiple=True, metavar="MODULE", help="Run this Python module as well; repeatable.")
@host_option
@port_option
@insecure_option
@click.pass_context
def up(
    ctx: click.Context, bus: str | None, modules: tuple[str, ...], host: str | None, port: int | None, *, insecure: bool
) -> None:
    """Bring the whole system up: database, schema, worker, dashboard; until Ctrl-C or SIGTERM.

    Without MODULE:BUS there is no worker. --also modules start when the worker is ready, and are demo traffic, for
    example. What dies is started again; when it keeps dying, everything stops and the exit code is 1. Ctrl-C stops
    everything, the embedded database last, and exits with 0.
    """
    start_logging()
    address = _address(host, port)
    if bus:
        load_bus(bus)
    home = (settings().home or find_home()).resolve()
    with opened(ready=False) as database:
        with as_configuration():
            db.migrate(database.dsn)
        children = _children(database.dsn, bus, modules, address, insecure=insecure)
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if wants_json():
            env["BUSLOG_LOG_FORMAT"] = "json"
        if not settings().dsn:
            env["BUSLOG_HOME"] = str(home)
        code = Supervisor(children, env, say).run(_announcing(address))
    ctx.exit(code)


def _children(
    dsn: str, bus: str | None, modules: tuple[str, ...], address: tuple[str, int], *, insecure: bool
) -> list[Child]:
    """In the order they start; they stop in the opposite one."""
    grace = settings().grace + DASHBOARD_GRACE
    host, port = address
    told = ("dashboard", "--host", host, "--port", str(port), *(["--insecure"] if insecure else []))
    dashboard_ = Child("the dashboard", "buslog", told, grace=DASHBOARD_GRACE)
    if bus is None:
        return [dashboard_, *(Child(module, module, may_end=True, grace=grace) for module in modules)]
    worker_ = Child("the worker", "buslog", ("worker", bus), grace=grace)
    ready = _ready(dsn, worker_)
    return [worker_, dashboard_, *(Child(m, m, may_start=ready, may_end=True, grace=grace) for m in modules)]


def _ready(dsn: str, worker_: Child) -> Callable[[], bool]:
    """Whether the worker has registered its subscribers: what is emitted before reaches nobody."""
    from buslog.insights import Insights  # noqa: PLC0415  (SQLAlchemy takes half a second to import)

    insights = Insights(dsn)
    give_up_at = time.monotonic() + WORKER_READY_SECONDS
    seen = False

    def ready() -> bool:
        nonlocal seen
        if not seen:
            try:
                seen = any(worker.worker.endswith(f":{worker_.pid}") for worker in insights.live_workers())
            except DatabaseUnavailable:
                seen = False
            if seen or time.monotonic() > give_up_at:
                seen = True
                insights.close()
        return seen

    return ready


def _announcing(address: tuple[str, int]) -> Callable[[], None]:
    """Says once, as soon as the dashboard answers, where to click."""
    url = url_of(*address)
    said = False

    def announce() -> None:
        nonlocal said
        if not said and _answers(url):
            said = True
            give({"url": url}, f"\n  buslog is up: {url}\n  Ctrl-C stops everything.\n")

    return announce


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()  # noqa: S310  (http, to ourselves)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
