"""The routes beside the pages: the whole filtered set as CSV, streamed; metrics for Prometheus."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Generator
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from buslog.console import access, clock, links
from buslog.errors import BuslogError, InvalidFilter, NotFound
from buslog.export import stream_csv
from buslog.filter import Filter
from buslog.metrics import CONTENT_TYPE, exposition

PATH = "/export.csv"


def address(filter_: Filter) -> str:
    """Where the CSV of a filter is to be had."""
    query = urlencode(links.params_of(filter_), doseq=True)
    return f"{PATH}?{query}" if query else PATH


async def export(request: Request) -> Response:
    """CSV of the rows that the same parameters show in the Log. 400 for a nonsense filter, 503 without a database."""
    given = {name: request.query_params.getlist(name) for name in request.query_params}
    try:
        filter_ = await run_in_threadpool(links.filter_of, given)
        chunks = stream_csv(access.dsn(), filter_)
        # The first chunk before the headers: a database that is down is an answer, not a broken file.
        first = await run_in_threadpool(next, chunks, b"")
    except InvalidFilter as error:
        return PlainTextResponse(str(error), status_code=400)
    except NotFound as error:
        return PlainTextResponse(str(error), status_code=404)
    except BuslogError as error:
        return PlainTextResponse(str(error), status_code=503)
    return StreamingResponse(
        _streamed(first, chunks),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{file_name(filter_)}"',
            "Content-Encoding": "identity",  # compressing would hold back what is ready
            "Cache-Control": "no-store",
        },
    )


async def _streamed(first: bytes, chunks: Generator[bytes]) -> AsyncIterator[bytes]:
    try:
        chunk = first
        while chunk:
            yield chunk
            chunk = await run_in_threadpool(next, chunks, b"")
    finally:
        # The reader has gone away, or all is read. Not awaited in a thread: a cancelled task may not wait.
        chunks.close()


def file_name(filter_: Filter) -> str:
    """Such as buslog-failed-S-42-20261123T1614Z.csv."""
    told = [
        *filter_.find[:2],
        *filter_.names[:2],
        filter_.key,
        *filter_.states[:3],
        filter_.subscription,
        filter_.error_type,
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
    return "-".join(["buslog", *filter(None, parts), f"{clock.now():%Y%m%dT%H%MZ}"])[:180] + ".csv"


async def metrics(_: Request) -> Response:
    """What `buslog metrics` prints. Without a database `buslog_up` is 0 and nothing else is told."""
    text = await run_in_threadpool(exposition, access.dsn())
    return Response(text, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


ROUTES = [Route(PATH, export, methods=["GET"]), Route("/metrics", metrics, methods=["GET"])]
