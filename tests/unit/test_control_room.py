"""docs/control-room.md: each row names tests that exist and drive a browser."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTIONS = (ROOT / "docs/control-room.md").read_text(encoding="utf-8").split("\n## ")[1:]
ROWS = [line for section in SECTIONS for line in section.splitlines() if line.startswith("| ")]
PROMISES = [row for row in ROWS if not row.endswith("| Shown by |")]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@cache
def driving(file: str) -> set[str]:
    """The tests of a file that drive a browser."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {
        test.name for test in tree.body if isinstance(test, ast.FunctionDef)
        and {"page: Page", "browser: Browser"} & {ast.unparse(argument) for argument in test.args.args}
    }  # fmt: skip


@pytest.mark.parametrize("row", PROMISES, ids=lambda row: row.split("|")[2].strip()[:60])
def test_every_row_names_tests_that_exist_and_drive_a_browser(row: str) -> None:
    *_, shown_by, _ = row.split("|")
    named = NAMED.findall(shown_by)
    assert named
    assert len(named) == shown_by.count("::"), "each on its own, in full"
    assert [f"{file}::{test}" for file, test in named if test not in driving(file)] == []
