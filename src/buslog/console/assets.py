"""Streamlit's own files, as a browser wants them: compressed, from memory, and asked for before they are missed.

Streamlit serves them from disk as they are, and its page learns of the widgets' scripts one after the other: when its
own scripts have run, when the first widget has come, when the table has. So the page that is sent names them all at its
beginning, those of charts only where there is one.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from streamlit import file_util

from buslog.console.guard import ASGIApp, Receive, Scope, Send

_PATH = "/static/"
_KINDS = {".js": b"text/javascript; charset=utf-8", ".css": b"text/css; charset=utf-8"}
_IMPORT = re.compile(r'(?:from|import)"\./([^"]+\.js)"')
_NAMED = re.compile(r'"\./(static/[^"]+)"')
_FOREVER = b"public, max-age=31536000, immutable"  # each name carries the hash of what is in it

# Scripts of widgets, by the names that Streamlit gives them before the hash.
WIDGETS = ("Button", "ButtonGroup", "Html", "Multiselect", "PageLink", "Selectbox", "TextInput")
OF_PAGES: Mapping[str, tuple[str, ...]] = {
    "": (*WIDGETS, "Checkbox", "Metric", "PlotlyChart"),
    "failures": (*WIDGETS, "DataFrame"),
    "audit": (*WIDGETS, "Checkbox"),
}
_SCRIPT = Path(str(resources.files("buslog.console"))) / "page.js"
FONT = "MaterialSymbols-Rounded"  # of the icons; the letters' font is in Streamlit's page


@dataclass(frozen=True, slots=True)
class Packed:
    body: bytes
    headers: list[tuple[bytes, bytes]]


class Files:
    """Streamlit's static files, and for each page what its address shows. Each is packed when it is first asked for."""

    def __init__(self, pages: Iterable[str]) -> None:
        folder = Path(file_util.get_static_dir())
        # Only what is listed here is ever read: no path from outside leads to a file.
        self._sources = {
            f"{_PATH}{file.relative_to(folder / 'static').as_posix()}": file
            for file in (folder / "static").rglob("*")
            if file.suffix in _KINDS
        }
        html = (folder / "index.html").read_text(encoding="utf-8")
        self._pages = {f"/{page}": _with_hints(html, hints(folder, html, page)) for page in pages}
        self._packed: dict[str, Packed] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._sources or path in self._pages

    def get(self, path: str) -> Packed | None:
        """What is packed already."""
        return self._packed.get(path)

    def pack(self, path: str) -> Packed:
        """Costs the processor up to a fifth of a second, the first time."""
        if path not in self._packed:
            if path in self._pages:
                packed = _pack(self._pages[path].encode(), b"text/html; charset=utf-8", b"no-cache")
            else:
                source = self._sources[path]
                packed = _pack(source.read_bytes(), _KINDS[source.suffix], _FOREVER)
            self._packed[path] = packed
        return self._packed[path]

    def pack_named(self) -> None:
        """All pages, and what they name: before somebody asks."""
        for path, html in self._pages.items():
            self.pack(path)
            for name in _NAMED.findall(html):
                if f"/{name}" in self._sources:
                    self.pack(f"/{name}")


class Assets:
    """A pure ASGI middleware that answers for these files. Whoever takes no gzip is left to Streamlit."""

    def __init__(self, app: ASGIApp, *, files: Files) -> None:
        self._app = app
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if (
            scope["type"] != "http"
            or scope["method"] != "GET"
            or path not in self._files
            or b"gzip" not in dict(scope["headers"]).get(b"accept-encoding", b"")
        ):
            await self._app(scope, receive, send)
            return
        packed = self._files.get(path)
        if packed is None:
            packed = await run_in_threadpool(self._files.pack, path)
        await send({"type": "http.response.start", "status": 200, "headers": packed.headers})
        await send({"type": "http.response.body", "body": packed.body})


def hints(folder: Path, html: str, page: str) -> list[str]:
    """The addresses of what a page needs beyond what Streamlit's own names: scripts with all that they import, styles
    and the icons' font.
    """
    scripts = folder / "static" / "js"
    told = set(re.findall(r'"\./static/js/([^"]+)"', html))
    found: dict[str, None] = {}
    left = [file.name for stem in OF_PAGES.get(page, WIDGETS) for file in scripts.glob(f"{stem}.*.js")]
    while left:
        script = left.pop(0)
        if script not in told and script not in found:
            found[script] = None
            left += _IMPORT.findall((scripts / script).read_text(encoding="utf-8"))
    styles = [
        file.name for stem in OF_PAGES.get(page, ()) for file in (folder / "static" / "css").glob(f"{stem}.*.css")
    ]
    fonts = [file.name for file in (folder / "static" / "media").glob(f"{FONT}.*.woff2")]
    return [
        *(f"./static/media/{name}" for name in fonts),
        *(f"./static/css/{name}" for name in styles),
        *(f"./static/js/{name}" for name in found),
    ]


def _with_hints(html: str, addresses: Iterable[str]) -> str:
    lines = []
    for address in addresses:
        if address.endswith(".js"):
            lines.append(f'<link rel="modulepreload" crossorigin href="{address}">')
        elif address.endswith(".css"):
            lines.append(f'<link rel="preload" as="style" crossorigin href="{address}">')
        else:
            lines.append(f'<link rel="preload" as="font" type="font/woff2" crossorigin href="{address}">')
    lines.append(f"<script>{_SCRIPT.read_text(encoding='utf-8')}</script>")
    return html.replace("</head>", "\n".join([*lines, "</head>"]), 1)


def _pack(body: bytes, kind: bytes, cached: bytes) -> Packed:
    packed = gzip.compress(body, compresslevel=6, mtime=0)
    return Packed(packed, [
        (b"content-type", kind), (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"),
        (b"cache-control", cached), (b"content-length", str(len(packed)).encode()),
    ])  # fmt: skip
