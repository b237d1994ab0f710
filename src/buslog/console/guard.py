"""What stands before every request, the websocket included: who may come in, whose page may talk to us, and what a
browser may do.

A pure ASGI middleware: Starlette's BaseHTTPMiddleware does not see websockets.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from starlette.requests import cookie_parser

from buslog.console import entrance, words
from buslog.console.login import CALLBACK, Login

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
READING = ("GET", "HEAD", "OPTIONS")

# What is open without a login: the way to it, and the sign of life that a load balancer asks for.
_OPEN = (entrance.LOG_IN, "/auth/login", CALLBACK, "/_stcore/health")
_NEXT = "buslog_next"  # the cookie that leads back to the page that was asked for before the login
_NEXT_SECONDS = 600
_LONGEST_NEXT = 1500

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
    """Lets through what a browser asks from a page of ours, once somebody has logged in where there is a login; refuses
    the rest with 401, 403 or 404. Without a login only this machine is served.
    """

    def __init__(
        self, app: ASGIApp, *, pages: Iterable[str] = (), routes: Iterable[str] = (), hosts: Iterable[str] = LOOPBACK,
        login: Login | None = None, is_insecure: bool = False,
    ) -> None:  # fmt: skip
        self._app = app
        self._pages = {"", *pages}
        self._paths = {*routes, *_STREAMLIT, *(_first(path) for path in _OPEN if login)}
        if login:
            self._paths.add("auth")
        self._hosts = {*hosts, *([login.host] if login else [])}
        self._login = login
        self._is_insecure = is_insecure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        cookies = cookie_parser(headers.get(b"cookie", ""))
        is_known = self._login is None or scope["path"] in _OPEN or self._login.claims_of(cookies) is not None
        if refusal is None and is_known:
            if self._login and scope["type"] == "http" and scope["path"] == "/" and (leads_to := self._next(cookies)):
                await _redirect(self._with_headers(send), leads_to)
                return
            await self._app(scope, receive, self._with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif refusal is not None:
            status, text = refusal
            if status == 404 and "text/html" in headers.get(b"accept", ""):  # noqa: PLR2004
                await _answer(self._with_headers(send), status, entrance.nowhere(), kind=b"text/html")
            else:
                await _answer(self._with_headers(send), status, text)
        elif scope["method"] == "GET" and scope["path"].lstrip("/") in self._pages:
            await self._show_entrance(scope, send)
        else:
            await _answer(self._with_headers(send), 401, words.LOG_IN_FIRST)

    def _refusal(self, scope: Scope, headers: dict[bytes, str]) -> tuple[int, str] | None:
        # `streamlit run` listens on every interface: where nobody logs in, nobody else is let in.
        client = scope.get("client")
        if client and not self._login and not self._is_insecure and not is_loopback(client[0]):
            return 403, "Only this machine is served."
        host = headers.get(b"host", "")
        if _hostname(f"//{host}") not in self._hosts and not (self._is_insecure and _hostname(f"//{host}")):
            return 403, "This host name is not served here."
        origin = headers.get(b"origin")
        needs_origin = scope["type"] == "websocket" or scope["method"] not in READING
        if (origin is None and needs_origin) or (origin is not None and urlsplit(origin).netloc != host):
            return 403, "Only a page of this dashboard may ask for this."
        if headers.get(b"sec-fetch-site") == "cross-site" and headers.get(b"sec-fetch-mode") != "navigate":
            return 403, "Only a page of this dashboard may ask for this."
        if scope["path"].strip("/") not in self._pages and _first(scope["path"]) not in self._paths:
            return 404, words.NO_SUCH_PAGE
        return None

    def _next(self, cookies: dict[str, str]) -> str | None:
        """The page that was asked for before the login. A cookie may be planted: it leads to pages of ours alone."""
        path, mark, query = unquote(cookies.get(_NEXT, "")).partition("?")
        return f"/{quote(path[1:])}{mark}{quote(query, safe='=&%+,:')}" if path[1:] in self._pages - {""} else None

    async def _show_entrance(self, scope: Scope, send: Send) -> None:
        query = scope["query_string"].decode("latin-1")
        asked = quote(f"{scope['path']}?{query}" if query else scope["path"], safe="")
        cookie = _cookie(asked if len(asked) <= _LONGEST_NEXT else "", _NEXT_SECONDS)
        headers = [(b"set-cookie", cookie), (b"cache-control", b"no-store")]
        await _answer(self._with_headers(send), 401, entrance.page(), kind=b"text/html", headers=headers)

    def _with_headers(self, send: Send) -> Send:
        is_https = self._login is not None and self._login.is_https

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", ())
                if is_https:  # Streamlit leaves it out
                    given = [(n, v + b"; Secure" if n.lower() == b"set-cookie" else v) for n, v in given]
                message["headers"] = [*given, *_HEADERS]
            await send(message)

        return sending


def _first(path: str) -> str:
    return path.lstrip("/").split("/", 1)[0]


def _cookie(value: str, seconds: int) -> bytes:
    return f"{_NEXT}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax".encode("latin-1")


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


async def _redirect(send: Send, path: str) -> None:
    headers = [(b"location", path.encode("latin-1")), (b"set-cookie", _cookie("", 0))]
    await send({"type": "http.response.start", "status": 302, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _answer(
    send: Send, status: int, text: str, *, kind: bytes = b"text/plain", headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    all_headers = [(b"content-type", kind + b"; charset=utf-8"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": text.encode()})
