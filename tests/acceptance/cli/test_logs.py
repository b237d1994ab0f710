"""What the processes that run until told to stop write to stderr."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from buslog import db
from tests.ports import free_port

from ..conftest import wait_until
from .conftest import Cli, environment, value

TELLING = """
import logging
from buslog import Bus, Message

bus = Bus()
log = logging.getLogger("shop.mail")

@bus.on("ordered", id="mail")
async def mail(message: Message) -> None:
    log.warning("no %s today", "stamps", extra={"stamps": 0})

@bus.on("ordered", id="thread")
def thread(message: Message) -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        log.exception("a line\\nand another")
"""


def worked(cli: Cli, connection: db.Connection, **env: str) -> tuple[str, str]:
    """The id of one message, and what a worker that handled it wrote to stderr."""
    (cli.folder / "telling.py").write_text(TELLING)
    process = cli.start("worker", "telling:bus", stderr=subprocess.PIPE, env=environment(cli.dsn, **env))
    wait_until(lambda: value(connection, "SELECT count(*) FROM buslog.workers") == 1)
    message = cli("emit", "ordered").out.strip()
    wait_until(lambda: value(connection, "SELECT count(*) FROM buslog.ended_deliveries") == 2)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    return message, err.decode()


def test_a_worker_logs_one_json_object_a_line_with_the_message_it_handles(cli: Cli, connection: db.Connection) -> None:
    message, err = worked(cli, connection, BUSLOG_LOG_FORMAT="json")
    lines = [json.loads(line) for line in err.splitlines()]
    first = next(line for line in lines if line.get("subscription") == "mail")
    assert datetime.now(UTC) - datetime.fromisoformat(first.pop("time")) < timedelta(minutes=1)
    assert first.pop("worker").rpartition(":")[2].isdigit()
    assert first == {
        "level": "WARNING", "logger": "shop.mail", "message": "no stamps today", "stamps": 0,
        "message_id": message, "subscription": "mail", "attempt": 1, "correlation_id": message,
    }  # fmt: skip
    second = next(line for line in lines if line.get("subscription") == "thread")
    assert (second["message_id"], second["message"]) == (message, "a line\nand another")
    assert second["traceback"].endswith("ValueError: boom")
    assert [line["message"] for line in lines if "message_id" not in line][-1].startswith("Stopping")


def test_a_worker_logs_text_with_the_message_at_the_end_of_the_line(cli: Cli, connection: db.Connection) -> None:
    message, err = worked(cli, connection)
    assert f" shop.mail WARNING no stamps today [message_id={message} subscription=mail attempt=1 " in err
    assert "\nValueError: boom\n" in err
    assert "\nThe worker runs; Ctrl-C stops it.\n" in err


def test_a_log_format_that_does_not_exist_ends_with_2(cli: Cli) -> None:
    done = cli("worker", "shop:bus", env={"BUSLOG_LOG_FORMAT": "xml"})
    assert (done.code, "BUSLOG_LOG_FORMAT" in done.error) == (2, True)


def test_what_goes_wrong_in_a_process_that_logs_json_is_a_record_with_the_fields_of_the_error(cli: Cli) -> None:
    done = cli("worker", "shop:buss", env={"BUSLOG_LOG_FORMAT": "json"})
    assert done.code == 2
    told = json.loads(done.error)
    assert (told["level"], told["field"], told["mend"]) == ("ERROR", "MODULE:BUS", "Did you mean bus?")


def test_the_dashboard_logs_json_too_and_says_where_it_is(cli: Cli) -> None:
    port = free_port()
    process = cli.start("dashboard", "--port", str(port), "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"url": f"http://127.0.0.1:{port}"}
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert all(json.loads(line)["level"] for line in err.splitlines())


def test_the_dashboard_says_to_a_person_where_it_is(cli: Cli) -> None:
    port = free_port()
    process = cli.start("dashboard", "--port", str(port), stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = [process.stderr.readline().decode() for _ in range(2)]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert said[1] == f"The dashboard runs on http://127.0.0.1:{port}; Ctrl-C stops it.\n"


# ── traces between processes ────────────────────────────────────────────────────

TRACED = """
import asyncio, json, os, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from buslog import Bus, Message

class ToFile(SpanExporter):
    def export(self, spans):
        with open(os.environ["SPANS"], "a") as file:
            for span in spans:
                print(os.getpid(), span.name, f"{span.context.trace_id:x}", file=file, sep="\\t")
        return SpanExportResult.SUCCESS

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ToFile()))
trace.set_tracer_provider(provider)
bus = Bus(host=__name__ != "__main__")

if __name__ != "__main__":
    @bus.on("ordered", id="mail")
    async def mail(message: Message) -> None:
        await bus.emit("mailed")

async def main() -> None:
    async with bus:
        await bus.emit("ordered")

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_a_worker_in_another_process_goes_on_with_the_trace(cli: Cli, connection: db.Connection) -> None:
    spans = cli.folder / "spans"
    (cli.folder / "traced.py").write_text(TRACED)
    env = environment(cli.dsn, SPANS=str(spans))
    worker = cli.start("worker", "traced:bus", stderr=subprocess.PIPE, env=env)
    wait_until(lambda: value(connection, "SELECT count(*) FROM buslog.workers") == 1)
    run(cli, "traced.py", env)
    wait_until(lambda: spans.exists() and len(spans.read_text().splitlines()) == 3)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    found = [line.split("\t") for line in spans.read_text().splitlines()]
    assert sorted(name for _, name, _ in found) == ["emit mailed", "emit ordered", "process ordered"]
    assert len({trace for _, _, trace in found}) == 1
    assert {pid == str(worker.pid): name for pid, name, _ in found}[False] == "emit ordered"


UNTRACED = """
import asyncio, sys
from buslog import Bus, telemetry

async def main() -> None:
    bus = Bus()
    async with bus:
        await bus.emit("before")
        print(sorted(name for name in sys.modules if name.startswith("opentelemetry.sdk")))
        print(telemetry._listening.to_spans, telemetry._listening.to_metrics)

        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        trace.set_tracer_provider(TracerProvider())
        await bus.emit("unnoticed")
        await bus.emit("after")

asyncio.run(main())
"""


def test_without_an_sdk_nothing_is_traced_and_none_is_loaded_and_one_that_comes_late_is_noticed(
    cli: Cli, connection: db.Connection
) -> None:
    (cli.folder / "untraced.py").write_text(UNTRACED)
    assert run(cli, "untraced.py", environment(cli.dsn)) == "[]\nFalse False\n"
    found = connection.execute("SELECT name FROM buslog.messages WHERE traceparent IS NOT NULL").fetchall()
    assert found == [("after",)]


def run(cli: Cli, program: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, program], cwd=cli.folder, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout
