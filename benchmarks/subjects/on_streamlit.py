"""Streamlit as it comes: a page with one query, served by `streamlit run`."""

from __future__ import annotations

import sys
from pathlib import Path

import common


def serve(options: dict) -> None:
    command = [
        sys.executable, "-m", "streamlit", "run", str(Path(__file__).with_name("bare_page.py")), "--server.port",
        str(options["port"]), "--server.address", "127.0.0.1", "--server.headless", "true",
        "--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none",
    ]  # fmt: skip
    common.become_server(command, options["port"], BENCH_DSN=options["dsn"])


if __name__ == "__main__":
    common.run({"serve": serve})
