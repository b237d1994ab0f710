"""doctor, metrics: what there is to see of the database, and what to do about it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from buslog.cli.common import as_configuration, examples, give, opened, say, start_logging, wants_json
from buslog.cli.processes import url_of
from buslog.errors import Misconfigured

if TYPE_CHECKING:
    from buslog.doctor import Finding

LOOPBACK = "127.0.0.1"


@click.command(epilog=examples("buslog doctor", "buslog doctor --json | jq '.findings[] | select(.level == \"bad\")'"))
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Look the database over, and say what to do about each finding.

    Changes nothing. What the role may not see is said to be unseen. The exit code is 1 when something was found.
    """
    from buslog.doctor import Level, examine  # noqa: PLC0415  (only here)

    with opened(ready=False) as database, as_configuration():
        findings = examine(database.dsn)
    is_well = all(finding.level in {Level.OK, Level.UNSEEN} for finding in findings)
    give({"ok": is_well, "findings": findings}, *_lines(findings))
    if not is_well:
        ctx.exit(1)


def _lines(findings: Sequence[Finding]) -> list[str]:
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<7}{finding.check:<15}{finding.found}")
        if finding.mend:
            lines.append(f"{'':<22}→ {finding.mend}")
    return lines


def _address(_ctx: click.Context, _parameter: click.Parameter, given: str | None) -> tuple[str, int] | None:
    if given is None:
        return None
    host, _, port = given.rpartition(":")
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise click.BadParameter(f"{given} is no HOST:PORT, such as 127.0.0.1:9187.")
    return host.strip("[]") or LOOPBACK, int(port)


@click.command(epilog=examples("buslog metrics", "buslog metrics --serve 127.0.0.1:9187"))
@click.option(
    "--serve", "address", callback=_address, metavar="HOST:PORT",
    help="Serve them until Ctrl-C or SIGTERM; without HOST on 127.0.0.1.",
)  # fmt: skip
def metrics(address: tuple[str, int] | None) -> None:
    """Print what Prometheus scrapes: backlog, failed deliveries, live workers, paused subscriptions.

    The dashboard serves the same under /metrics; --serve is for an installation without it. There is no login: who
    reaches the address reads the names of subscriptions and how many deliveries wait.
    """
    from buslog.metrics import exposition, registry  # noqa: PLC0415  (only here)

    if address is not None:
        start_logging()
    with opened() as database:
        if address is not None:
            _serve(database.dsn, address)
        elif wants_json():
            give({"metrics": [
                {"name": family.name, "help": family.documentation,
                 "samples": [{"labels": sample.labels, "value": sample.value} for sample in family.samples]}
                for family in registry(database.dsn).collect()
            ]})  # fmt: skip
        else:
            click.echo(exposition(database.dsn), nl=False)


def _serve(dsn: str, address: tuple[str, int]) -> None:
    """Until SIGINT or SIGTERM. Raises `Misconfigured` for an address that is taken."""
    from prometheus_client import start_http_server  # noqa: PLC0415

    from buslog.metrics import registry  # noqa: PLC0415

    host, port = address
    try:
        server, thread = start_http_server(port, addr=host, registry=registry(dsn))
    except OSError as error:
        raise Misconfigured(
            field="--serve", rule="is an address that can be listened on",
            was=f"{host}:{port}, {error.strerror}", mend="Choose another.",
        ) from None  # fmt: skip
    url = f"{url_of(host, port)}/metrics"
    give({"url": url}, url)
    say("Ctrl-C stops it.")
    with contextlib.suppress(KeyboardInterrupt, SystemExit):  # Ctrl-C and, by `main`, SIGTERM
        thread.join()
    server.shutdown()
    server.server_close()
