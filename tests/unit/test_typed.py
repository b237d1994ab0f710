"""Typed names and payloads, as the type checker sees them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CASES = Path(__file__).parent / "typed_cases.py"
IGNORE = re.compile(r"  # type: ignore\[([\w-]+)\]")


def errors_in(file: Path) -> set[tuple[int, str]]:
    """Line and code of the errors that mypy finds."""
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--output", "json", "--follow-imports", "silent"]
    # In a process of its own: mypy changes the recursion limit of the one it runs in.
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {(one["line"], one["code"]) for one in found if one["severity"] == "error"}


def test_a_declared_payload_is_known_to_subscribers_and_no_other_is_taken_by_emit(tmp_path: Path) -> None:
    lines = CASES.read_text(encoding="utf-8").splitlines()
    expected = {(number, found[1]) for number, line in enumerate(lines, 1) if (found := IGNORE.search(line))}
    bare = tmp_path / "bare.py"
    bare.write_text(IGNORE.sub("", "\n".join(lines)), encoding="utf-8")
    assert errors_in(CASES) == set()
    assert errors_in(bare) == expected
    assert len(expected) > 10
