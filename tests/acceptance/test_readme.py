from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from buslog import db

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_readme_s_example_runs_as_it_stands(dsn: str, connection: db.Connection, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env={**os.environ, "BUSLOG_DSN": dsn}, timeout=60,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == ["Dear customer, S-42 is on its way", "S-42 has departed"]
    rows = connection.execute("SELECT subscription, state FROM buslog.log ORDER BY subscription").fetchall()
    assert rows == [("program:notify_customer", "succeeded"), ("program:update_status", "succeeded")]
    imported = subprocess.run(  # as `buslog up` does
        [sys.executable, "-c", "import program; print(program.bus)"], cwd=tmp_path,
        env={**os.environ, "BUSLOG_DSN": dsn}, timeout=60, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (imported.returncode, "Dear customer" in imported.stdout) == (0, False)


def test_the_readme_s_sql_runs_as_it_stands(connection: db.Connection) -> None:
    (statement,) = re.findall(r"```sql\n(.*?)```", README, flags=re.DOTALL)
    connection.execute(statement)
    assert connection.execute("SELECT name, key FROM buslog.log").fetchall() == [("shipmentDeparted", "S-42")]


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^buslog ([a-z-]+)", README, flags=re.MULTILINE))))
def test_every_command_of_the_readme_exists_and_has_examples(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "buslog", command, "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"buslog {command}" in done.stdout
