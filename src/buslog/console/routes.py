"""The routes beside the pages: the whole filtered set as a file, streamed; metrics for Prometheus."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

from anyio import to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from buslog.console import access, clock
from buslog.errors import BuslogError, InvalidFilter, NotPermitted, RoleTooLow
from buslog.export import Export, Format
from buslog.filter import Filter
from buslog.metrics import CONTENT_TYPE, exposition

PATHS = {Format.CSV: "/export.csv", Format.EXCEL: "/export-excel.csv", Format.PARQUET: "/export.parquet"}


def address(filter_: Filter, format_: Format = Format.CSV) -> str:
    """Where the file of a filter is to be had."""
    query = urlencode(filter_.to_params(), doseq=True)
    return f"{PATHS[format_]}?{query}" if query else PATHS[format_]


async def export(request: Request) -> Response:
    """The rows that the same parameters show in the Log, as a file. 400 for a nonsense filter, 403 for who may not, 503
    without a database.
    """
    format_ = next(format_ for format_, path in PATHS.items() if path == request.url.path)
    given = {name: request.query_params.getlist(name) for name in request.query_params}
    try:
        filter_ = Filter.from_params(given)
        exported = access.exports(request.cookies).export(filter_, format_)
        # The first chunk before the headers: a database that is down is an answer, not a broken file.
        first = await run_in_threadpool(next, exported, b"")
    except InvalidFilter as error:
        return PlainTextResponse(str(error), status_code=400)
    except (NotPermitted, RoleTooLow) as error:
        return PlainTextResponse(str(error), status_code=403)
    except BuslogError as error:
        return PlainTextResponse(str(error), status_code=503)
    return StreamingResponse(
        _streamed(first, exported),
        media_type=format_.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{file_name(filter_, format_)}"',
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


ROUTES = [
    *(Route(path, export, methods=["GET"]) for path in PATHS.values()),
    Route("/metrics", metrics, methods=["GET"]),
]
