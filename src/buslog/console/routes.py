"""The routes beside the pages: the whole filtered set as CSV, streamed; metrics for Prometheus."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Generator
from urllib.parse import urlencode
from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from buslog.console import access, clock, filter_links
from buslog.console.links import PAYLOAD
from buslog.errors import BuslogError, InvalidFilter, NotFound, RoleTooLow
from buslog.export import stream_audit, stream_csv
from buslog.filter import Filter, Range
from buslog.insights import AuditFilter
from buslog.metrics import CONTENT_TYPE, exposition

PATH = "/export.csv"
AUDIT_PATH = "/audit.csv"


def address(filter_: Filter) -> str:
    """Where the CSV of a filter is to be had."""
    query = urlencode(filter_links.params_of(filter_), doseq=True)
    return f"{PATH}?{query}" if query else PATH


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
        chunks = stream_audit(access.dsn(), filter_)
        first = await run_in_threadpool(next, chunks, b"")
    except InvalidFilter as error:
        return PlainTextResponse(str(error), status_code=400)
    except RoleTooLow as error:
        return PlainTextResponse(str(error), status_code=403)
    except BuslogError as error:
        return PlainTextResponse(str(error), status_code=503)
    return _csv(first, chunks, f"buslog-audit-{clock.now():%Y%m%dT%H%MZ}.csv")


async def export(request: Request) -> Response:
    """CSV of the rows that the same parameters show in the Log. 400 for a nonsense filter, 503 without a database."""
    given = {name: request.query_params.getlist(name) for name in request.query_params}
    try:
        filter_ = await run_in_threadpool(filter_links.filter_of, given, access.who_asks(request.cookies))
        chunks = stream_csv(access.dsn(), filter_)
        # The first chunk before the headers: a database that is down is an answer, not a broken file.
        first = await run_in_threadpool(next, chunks, b"")
    except InvalidFilter as error:
        return PlainTextResponse(str(error), status_code=400)
    except NotFound as error:
        return PlainTextResponse(str(error), status_code=404)
    except RoleTooLow as error:
        return PlainTextResponse(str(error), status_code=403)
    except BuslogError as error:
        return PlainTextResponse(str(error), status_code=503)
    return _csv(first, chunks, file_name(filter_))


def _csv(first: bytes, chunks: Generator[bytes], name: str) -> Response:
    return StreamingResponse(
        _streamed(first, chunks),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
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
    return "-".join(["buslog", *filter(None, parts), f"{clock.now():%Y%m%dT%H%MZ}"])[:180] + ".csv"


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
    Route(PAYLOAD, payload, methods=["GET"]),
    Route(PATH, export, methods=["GET"]),
    Route(AUDIT_PATH, audit, methods=["GET"]),
    Route("/metrics", metrics, methods=["GET"]),
]
