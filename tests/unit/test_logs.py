"""What a process writes once its log is set up: in a process of its own, because a log is."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

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


MASKED = """
import logging, sys
from types import SimpleNamespace
from buslog import logs
from buslog.execution import current_message

logs.set_up(as_json=sys.argv[1] == "json")
payload = {"customer": {"email": "anna@example.org"}}
current_message.set(SimpleNamespace(id=1, subscription="mail", attempt=1, correlation_id=1, payload=payload))
logging.getLogger("app").warning("no mailbox %s", "anna@example.org")
try:
    raise ValueError("refused: anna@example.org")
except ValueError:
    logging.getLogger("app").exception("it raised")
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_subscriber_logs_has_no_masked_value_of_its_message_nor_has_a_traceback(form: str) -> None:
    told = {}
    for fields in ("*.email", "none"):
        env = {**os.environ, "BUSLOG_MASK_FIELDS": fields}
        arguments = [sys.executable, "-c", MASKED, form]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True, env=env)
        told[fields] = done.stderr
    assert "anna@example.org" not in told["*.email"]
    assert "no mailbox " in told["*.email"]
    assert "ValueError: refused" in told["*.email"]
    assert told["none"].count("anna@example.org") >= 2
