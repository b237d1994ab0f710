"""What stands before every request, the websocket included: whose page may talk to us, and what a browser may do.

A pure ASGI middleware: Starlette's BaseHTTPMiddleware does not see websockets.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
READING = ("GET", "HEAD", "OPTIONS")

# What Streamlit serves beside the pages. Any other path is answered 404, not with a page.
_STREAMLIT = ("_stcore", "media", "component", "static", "favicon.png", "manifest.json", "index.html")

_HEADERS = (
    (b"content-security-policy", b"; ".join((
        b"default-src 'self'",
        b"script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'",
        b"style-src 'self' 'unsafe-inline'",
        b"img-src 'self' data: blob:",
        b"font-src 'self' data:",
        b"connect-src 'self'",
        b"worker-src 'self' blob:",
        b"object-src 'none'",
        b"base-uri 'self'",
        b"form-action 'self'",
        b"frame-ancestors 'none'",
    ))),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)  # fmt: skip


class Guard:
    """Lets through what a browser on this machine asks from a page of ours; refuses the rest with 403 or 404."""

    def __init__(self, app: ASGIApp, *, paths: Iterable[str] = (), hosts: Iterable[str] = LOOPBACK) -> None:
        self._app = app
        self._paths = {"", *paths, *_STREAMLIT}
        self._hosts = set(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _answer(send, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        # `streamlit run` listens on every interface: nobody logs in yet, so nobody else is let in.
        client = scope.get("client")
        if client and not is_loopback(client[0]):
            return 403, "Only this machine is served."
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if _hostname(f"//{host}") not in self._hosts:
            return 403, "This host name is not served here."
        origin = headers.get(b"origin")
        needs_origin = scope["type"] == "websocket" or scope["method"] not in READING
        if (origin is None and needs_origin) or (origin is not None and urlsplit(origin).netloc != host):
            return 403, "Only a page of this dashboard may ask for this."
        if headers.get(b"sec-fetch-site") == "cross-site" and headers.get(b"sec-fetch-mode") != "navigate":
            return 403, "Only a page of this dashboard may ask for this."
        if scope["path"].lstrip("/").split("/", 1)[0] not in self._paths:
            return 404, "There is no such page."
        return None


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _hostname(address: str) -> str | None:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return None if parts.username or parts.password else parts.hostname


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await send(message)

    return sending


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
