"""What is served, where from and to whom: without a browser."""

from __future__ import annotations

import gzip
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from starlette.types import Message, Receive, Scope, Send
from streamlit import file_util

from buslog import db
from buslog.console import frame, server
from buslog.console.assets import OF_PAGES, Files, hints
from buslog.console.guard import Guard
from buslog.console.routes import file_name
from buslog.errors import Misconfigured
from buslog.filter import Filter
from buslog.message import State
from tests.dashboard.conftest import Dashboard, dashboard_process, served

if TYPE_CHECKING:
    from tests.conftest import BusByHand

HANGING = float(db.SAFETY["connect_timeout"])  # seconds


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_an_address_that_others_can_reach_is_refused_as_long_as_there_is_no_login(host: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        server.serve("postgresql://nowhere", host, 8501)
    assert refused.value.field == "host"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_served(host: str) -> None:
    server.check_host(host)


def test_the_app_is_found_at_the_top_of_a_checkout() -> None:
    assert server.find_app() == Path(__file__).parents[2] / "app.py"


@pytest.mark.parametrize(
    ("headers", "path", "method", "status"),
    [
        ({"host": "127.0.0.1:8501"}, "/", "GET", 200),
        ({"host": "[::1]:8501"}, "/log", "GET", 200),
        ({}, "/", "GET", 403),
        ({"host": "127.0.0.1", "client": "192.168.1.5"}, "/", "GET", 403),
        ({"host": "127.0.0.1", "client": "127.0.0.1"}, "/", "GET", 200),
        ({"host": "127.0.0.1.evil.example"}, "/", "GET", 403),
        ({"host": "user@127.0.0.1"}, "/", "GET", 403),
        ({"host": "127.0.0.1:x"}, "/", "GET", 403),
        ({"host": "localhost", "origin": "http://localhost"}, "/_stcore/upload_file/1", "PUT", 200),
        ({"host": "localhost"}, "/_stcore/upload_file/1", "PUT", 403),
        ({"host": "localhost", "origin": "null"}, "/_stcore/upload_file/1", "PUT", 403),
        ({"host": "localhost", "origin": "http://localhost:9999"}, "/", "GET", 403),
        ({"host": "localhost"}, "/elsewhere", "GET", 404),
        ({"host": "localhost"}, "/log/", "GET", 200),
        ({"host": "localhost"}, "/log/elsewhere", "GET", 404),
        ({"host": "localhost"}, "/log/../../etc/passwd", "GET", 404),
    ],
)
async def test_the_guard_lets_in_what_a_page_of_this_machine_asks(
    headers: dict[str, str], path: str, method: str, status: int
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("nothing is read before it is let in")

    async def send(message: Message) -> None:
        sent.append(message)

    client = (headers.pop("client", "127.0.0.1"), 40000)
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await Guard(app, pages=["log"])(
        {"type": "http", "method": method, "path": path, "headers": raw, "client": client}, receive, send
    )
    assert sent[0]["status"] == status
    assert (b"x-content-type-options", b"nosniff") in sent[0]["headers"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_database_that_hangs_does_not_hold_up_a_stop(number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and nobody answers
        dsn = f"postgresql://anna@127.0.0.1:{silent.getsockname()[1]}/hangs"
        process, _ = dashboard_process(dsn, server=("uvicorn", "app:app"), BUSLOG_MASK_FIELDS="*.email")
        began = time.monotonic()
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        stopped = time.monotonic() - began
    assert "Traceback" not in output, output
    assert stopped < HANGING / 2


def asked(address: str, path: str, **headers: str) -> tuple[dict[str, str], bytes]:
    with urllib.request.urlopen(urllib.request.Request(f"{address}/{path}", headers=headers), timeout=10) as answer:
        return dict(answer.headers.items()), answer.read()


def named_scripts(html: str) -> list[str]:
    return re.findall(r'<link rel="modulepreload" crossorigin href="./(static/js/[^"]+)">', html)


def test_streamlits_files_come_packed_are_kept_for_ever_and_stand_behind_the_guard(dashboard: Dashboard) -> None:
    headers, body = asked(dashboard.address, "failures", **{"Accept-Encoding": "gzip"})
    assert headers["cache-control"] == "no-cache", "a new version of the page must be seen"
    scripts = named_scripts(gzip.decompress(body).decode())
    assert len(scripts) > 100
    plain, packed = 0, 0
    for script in scripts:
        headers, body = asked(dashboard.address, script, **{"Accept-Encoding": "gzip, br"})
        assert headers["content-encoding"] == "gzip"
        assert "immutable" in headers["cache-control"]
        assert headers["content-type"].startswith("text/javascript")
        assert headers["x-content-type-options"] == "nosniff"
        plain, packed = plain + len(gzip.decompress(body)), packed + len(body)
    assert packed < plain / 3
    headers, body = asked(dashboard.address, scripts[0])
    assert "content-encoding" not in headers, "who takes no gzip is given none"
    assert body.startswith((b"import", b"var", b"const", b"function", b"let"))
    with pytest.raises(urllib.error.HTTPError) as missing:
        asked(dashboard.address, "static/../../../config.py", **{"Accept-Encoding": "gzip"})
    missing.value.close()


def test_a_chart_is_loaded_only_where_there_is_one() -> None:
    assert sorted({stem for stems in OF_PAGES.values() for stem in stems}) == sorted(
        {stem for stems in OF_PAGES.values() for stem in stems if any_script(stem)}
    ), "Streamlit has no script of this name any more"
    folder = Path(file_util.get_static_dir())
    html = (folder / "index.html").read_text(encoding="utf-8")
    has_chart = {page for page in ("", *frame.PATHS) if any("PlotlyChart" in one for one in hints(folder, html, page))}
    assert has_chart == {""}


def any_script(stem: str) -> bool:
    return any((Path(file_util.get_static_dir()) / "static" / "js").glob(f"{stem}.*.js"))


def test_what_pages_name_is_packed_before_somebody_asks() -> None:
    files = Files(["", "failures"])
    files.pack_named()
    html = gzip.decompress(files.pack("/failures").body).decode()
    scripts = named_scripts(html)
    assert scripts
    assert all(files.get(f"/{script}") for script in scripts)
    assert files.get("/static/js/no-such-script.js") is None


def test_told_to_be_insecure_a_dashboard_listens_everywhere(
    by_hand18: BusByHand,
) -> None:
    with served(by_hand18.dsn, "--host", "0.0.0.0", "--insecure") as address:
        request = urllib.request.Request(address, headers={"Host": "buslog.example.com"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200


def test_a_file_tells_what_is_in_it() -> None:
    name = file_name(Filter(names=("ship / departed",), key="../S-42", states=(State.FAILED,)))
    assert name.startswith("buslog-ship-departed-S-42-failed-")
    assert name.endswith("Z-UTC.csv")
    assert file_name(Filter()).startswith("buslog-log-")


def test_an_export_of_a_nonsense_filter_is_an_answer_and_not_a_file(dashboard: Dashboard) -> None:
    for query in ("page=-1", "state=fialed", "kye=S-42"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{dashboard.address}/export.csv?{query}", timeout=10)
        assert refused.value.code == 400
        assert "Did you mean" in refused.value.read().decode() or query == "page=-1"
        refused.value.close()


def test_prometheus_is_told_what_the_command_line_prints_and_a_strange_page_is_not(dashboard: Dashboard) -> None:
    dashboard.bus.subscribe("told to Prometheus", "ordered")
    with urllib.request.urlopen(f"{dashboard.address}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        text = answer.read().decode()
    assert "\nbuslog_up 1.0\n" in text
    assert 'buslog_failed_deliveries{subscription="told to Prometheus"} 0.0\n' in text
    strange = urllib.request.Request(f"{dashboard.address}/metrics", headers={"Origin": "http://evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(strange, timeout=10)
    assert refused.value.code == 403
    refused.value.close()


def test_a_reader_who_goes_away_ends_the_copy(dashboard: Dashboard) -> None:
    dashboard.bus.run(
        """INSERT INTO buslog.messages (id, kind, routed, emitted_at, correlation_id, name, source, payload)
           SELECT id, 'event', 0, now(), id, 'filler', 'sql', jsonb_build_object('text', repeat('x', 1000))
           FROM generate_series(1, 100000) AS n,
                LATERAL (SELECT buslog.new_id(now() + n * interval '1 us') AS id)"""
    )
    answer = urllib.request.urlopen(f"{dashboard.address}/export.csv?range=all", timeout=20)
    assert answer.headers["Content-Encoding"] == "identity"
    answer.read(1000)
    assert copies_in(dashboard.bus.dsn) == 1
    answer.close()
    give_up_at = time.monotonic() + 20
    while copies_in(dashboard.bus.dsn) and time.monotonic() < give_up_at:
        time.sleep(0.1)
    assert copies_in(dashboard.bus.dsn) == 0


def copies_in(dsn: str) -> int:
    with db.connect(dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])
