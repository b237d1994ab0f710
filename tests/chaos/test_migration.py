"""Fault 16: the schema and the builds do not change at the same moment. There is one migration so far: what a second
one will do under load is played by hand.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from buslog import db

from .client import Client
from .conftest import Judge
from .fleet import COME_UP, LONG, ROOT, Fleet

NEXT_MIGRATION = """
    ALTER TABLE buslog.deliveries ADD COLUMN of_tomorrow integer NOT NULL DEFAULT 7;
    ALTER TABLE buslog.messages ADD COLUMN of_tomorrow text;
    ALTER TABLE buslog.ended_deliveries ADD COLUMN of_tomorrow text;
    ALTER TABLE buslog.attempts ADD COLUMN of_tomorrow text;
    ALTER TABLE buslog.workers ADD COLUMN of_tomorrow text;
    UPDATE buslog.schema_version SET version_num = '9999';
"""


def test_migrating_again_under_load_disturbs_nobody(fleet: Fleet, client: Client, judge: Judge) -> None:
    fleet.start()
    client.flow(40, seconds=0.02)
    client.flow(4, name="chain")
    for _ in range(20 if LONG else 1):
        time.sleep(0.2)
        migrate(fleet)
    client.ebb()
    fleet.drain()
    judge.kept()
    assert client.errors == []
    assert not any("WARNING" in fleet.log(process) for process in fleet.processes)


def test_two_migrations_at_once_take_turns(empty_dsn: str) -> None:
    threads = [threading.Thread(target=db.migrate, args=(empty_dsn,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db.check_schema(empty_dsn)


def test_old_workers_and_clients_go_on_in_a_newer_schema_and_a_new_start_of_the_old_build_is_refused(
    fleet: Fleet, client: Client, judge: Judge
) -> None:
    fleet.start()
    client.flow(40, seconds=0.02)
    client.flow(4, name="chain", raises=1)
    time.sleep(0.5)
    with db.connect(fleet.dsn) as connection:
        connection.execute(NEXT_MIGRATION)
    time.sleep(1.0)
    client.ebb()
    fleet.drain()
    judge.kept()
    assert client.errors == []
    assert not any("WARNING" in fleet.log(process) for process in fleet.processes)

    refused = fleet.start(ready=False)
    assert refused.wait(COME_UP) == 2
    assert "revision 9999" in fleet.log(refused)


def test_a_worker_without_a_schema_is_refused_and_says_what_to_do(fleet: Fleet) -> None:
    with db.connect(fleet.dsn) as connection:
        connection.execute("DROP SCHEMA buslog CASCADE")
    refused = fleet.start(ready=False)
    assert refused.wait(COME_UP) == 2
    assert "buslog migrate" in fleet.log(refused)


def migrate(fleet: Fleet) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "buslog", "migrate"], cwd=ROOT, env=fleet.environment(fleet.dsn, {}), check=False,
        capture_output=True, text=True, timeout=COME_UP,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
