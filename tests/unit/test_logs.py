"""What a process writes once its log is set up: in a process of its own, because a log is."""

from __future__ import annotations

import json
import subprocess
import sys

LIBRARIES = """
import logging
from buslog import logs

assert not logs.are_json()
logs.set_up(as_json=True)
assert logs.are_json()
from streamlit.logger import get_logger

streamlit = get_logger("streamlit.some.part")
logs.take_in_others()
streamlit.warning("by a handler of its own")
logging.getLogger("buslog.worker").info("ours", extra={"subscription": None})
"""


def test_what_a_library_prints_by_a_handler_of_its_own_becomes_json_too() -> None:
    done = subprocess.run([sys.executable, "-c", LIBRARIES], capture_output=True, text=True, timeout=60, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["logger"], line["level"], line["message"]) for line in lines] == [
        ("streamlit.some.part", "WARNING", "by a handler of its own"), ("buslog.worker", "INFO", "ours"),
    ]  # fmt: skip
