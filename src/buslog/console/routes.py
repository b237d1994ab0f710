"""The routes beside the pages: the whole filtered set as a file, streamed; metrics for Prometheus."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode
from uuid import UUID

from anyio import to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from buslog.console import access, clock, filter_links
from buslog.console.links import PAYLOAD
from buslog.errors import BuslogError, InvalidFilter, NotFound, NotPermitted, RoleTooLow
from buslog.export import Export, Format, stream_audit
from buslog.filter import Filter, Range
from buslog.insights import AuditFilter
from buslog.metrics import CONTENT_TYPE, exposition

PATHS = {Format.CSV: "/export.csv", Format.EXCEL: "/export-excel.csv", Format.PARQUET: "/export.parquet"}
AUDIT_PATH = "/audit.csv"


def address(filter_: Filter, format_: Format = Format.CSV) -> str:
    """Where the file of a filter is to be had."""
    query = urlencode(filter_links.params_of(filter_), doseq=True)
    return f"{PATHS[format_]}?{query}" if query else PATHS[format_]


def audit_address(filter_: AuditFilter) -> str:
    """Where the CSV of the audit's filter is to be had."""
    query = urlencode(filter_.to_params(), doseq=True)
    return f"{AUDIT_PATH}?{query}" if query else AUDIT_PATH


async def audit(request: Request) -> Response:
    """CSV of the rows that the same parameters show in the audit; taking it away is audited before the first byte."""
    given = {name: request.query_params.getlist(name) for name in request.query_params}
    try:
        filter_ = AuditFilter.from_params(given)
        told = {"filter": filter_.to_params(default=Range.ALL)}
        await run_in_threadpool(access.privacy(access.who_asks(request.cookies)).exported, "audit", told)
        exported = stream_audit(access.dsn(), filter_)
        first = await run_in_threadpool(next, exported, b"")
    except InvalidFilter as error:
        return PlainTextResponse(str(error), status_code=400)
    except RoleTooLow as error:
        return PlainTextResponse(str(error), status_code=403)
    except BuslogError as error:
        return PlainTextResponse(str(error), status_code=503)
    name = f"buslog-audit-{clock.now():%Y%m%dT%H%MZ}{Format.CSV.ending}"
    return _file(first, exported, Format.CSV, name)


async def export(request: Request) -> Response:
    """The rows that the same parameters show in the Log, as a file. 400 for a nonsense filter, 403 for who may not, 503
    without a database.
    """
    format_ = next(format_ for format_, path in PATHS.items() if path == request.url.path)
    given = {name: request.query_params.getlist(name) for name in request.query_params}
    try:
        filter_ = await run_in_threadpool(filter_links.filter_of, given, access.who_asks(request.cookies))
        exported = access.exports(request.cookies).export(filter_, format_)
        # The first chunk before the headers: a database that is down is an answer, not a broken file.
        first = await run_in_threadpool(next, exported, b"")
    except InvalidFilter as error:
        return PlainTextResponse(str(error), status_code=400)
    except NotFound as error:
        return PlainTextResponse(str(error), status_code=404)
    except (NotPermitted, RoleTooLow) as error:
        return PlainTextResponse(str(error), status_code=403)
    except BuslogError as error:
        return PlainTextResponse(str(error), status_code=503)
    return _file(first, exported, format_, file_name(filter_, format_))


def _file(first: bytes, exported: Export, format_: Format, name: str) -> Response:
    return StreamingResponse(
        _streamed(first, exported),
        media_type=format_.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Encoding": "identity",  # compressing would hold back what is ready
            "Cache-Control": "no-store",
        },
    )


async def _streamed(first: bytes, exported: Export) -> AsyncIterator[bytes]:
    """An error in the middle breaks the connection, so that a browser calls the download failed."""
    try:
        chunk = first
        while chunk:
            yield chunk
            # Abandoned when the reader goes away: `close` then cancels what the thread waits for.
            chunk = await to_thread.run_sync(next, exported, b"", abandon_on_cancel=True)
    finally:
        # In a thread, and not awaited: a cancelled task may not wait, and the others need not.
        asyncio.get_running_loop().run_in_executor(None, exported.close)


def file_name(filter_: Filter, format_: Format = Format.CSV) -> str:
    """Such as buslog-failed-S-42-20261123T1614Z-UTC.csv."""
    told = [
        *filter_.find[:2],
        *filter_.names[:2],
        filter_.key,
        *filter_.states[:3],
        filter_.subscription,
        filter_.error_type,
        filter_.group,
    ]
    if filter_.range.length:
        told.append(f"last-{filter_.range}")
    if filter_.since:
        told.append(f"from-{filter_.since:%Y%m%d}")
    if filter_.until:
        told.append(f"to-{filter_.until:%Y%m%d}")
    if not any(told):
        told.append("log")
    parts = [re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.")[:40] for part in told if part]
    return "-".join(["buslog", *filter(None, parts), f"{clock.now():%Y%m%dT%H%MZ}"])[:180] + format_.ending


async def metrics(_: Request) -> Response:
    """What `buslog metrics` prints. Without a database `buslog_up` is 0 and nothing else is told."""
    text = await run_in_threadpool(exposition, access.dsn())
    return Response(text, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


async def payload(request: Request) -> Response:
    """A message's whole payload as a file, its numbers as they were said. 400 for no id, 404 for no such message."""
    try:
        message_id = UUID(request.query_params.get("id", ""))
        text = await run_in_threadpool(access.insights().payload, message_id)
    except ValueError:
        return PlainTextResponse("id: is a message's id.", status_code=400)
    except BuslogError as error:
        return PlainTextResponse(str(error), status_code=503)
    if text is None:
        return PlainTextResponse("There is no such message.", status_code=404)
    headers = {"Content-Disposition": f'attachment; filename="{message_id}.json"', "Cache-Control": "no-store"}
    return Response(text, media_type="application/json", headers=headers)


ROUTES = [
    *(Route(path, export, methods=["GET"]) for path in PATHS.values()),
    Route(PAYLOAD, payload, methods=["GET"]),
    Route(AUDIT_PATH, audit, methods=["GET"]),
    Route("/metrics", metrics, methods=["GET"]),
]
