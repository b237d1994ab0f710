"""Children that live and die with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from buslog import supervise
from buslog.supervise import Child, Supervisor

from .conftest import ROOT, wait_until

NOTE = """
import os, sys, time
def note(text):
    with open("notes", "a") as file:
        file.write(f"{text} {os.getpid()}\\n")
"""


class Family:
    """Modules in a folder of their own, and what they noted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []
        (folder / "noting.py").write_text(NOTE)

    def child(self, name: str, code: str, **more: object) -> Child:
        (self.folder / f"{name}.py").write_text(f"from noting import *\nnote('{name} starts')\n{code}\n")
        return Child(name, name, **more)  # type: ignore[arg-type]

    def supervise(self, *children: Child, stop_when: Callable[[], bool] = lambda: False) -> int:
        path = os.pathsep.join([str(ROOT / "src"), str(self.folder)])
        supervisor = Supervisor(children, {**os.environ, "PYTHONPATH": path}, self.told.append)
        give_up_at = time.monotonic() + 30

        def look() -> None:
            assert time.monotonic() < give_up_at, self.notes()
            if stop_when():
                os.kill(os.getpid(), signal.SIGINT)

        return supervisor.run(look)

    def notes(self) -> list[str]:
        file = self.folder / "notes"
        return [line.rsplit(" ", 1)[0] for line in file.read_text().splitlines()] if file.exists() else []

    def alive(self) -> list[int]:
        pids = {int(line.rsplit(" ", 1)[1]) for line in (self.folder / "notes").read_text().splitlines()}
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family:
    monkeypatch.chdir(tmp_path)
    return Family(tmp_path)


FOR_LONG = "time.sleep(60)"
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)"


def test_children_start_in_order_and_stop_in_the_opposite_one(family: Family) -> None:
    stoppable = (
        "import signal\nsignal.signal(signal.SIGTERM, lambda *_: (note('{0} stops'), sys.exit()))\ntime.sleep(60)"
    )
    first = family.child("first", stoppable.format("first"))
    second = family.child("second", stoppable.format("second"), may_start=lambda: "first starts" in family.notes())
    code = family.supervise(first, second, stop_when=lambda: "second starts" in family.notes())
    assert code == 0
    assert family.notes() == ["first starts", "second starts", "second stops", "first stops"]
    assert family.alive() == []


def test_a_child_that_dies_is_started_again(family: Family) -> None:
    mortal = family.child(
        "mortal", f"sys.exit(3) if not os.path.exists('again') and open('again', 'w') else None; {FOR_LONG}"
    )
    assert family.supervise(mortal, stop_when=lambda: family.notes().count("mortal starts") == 2) == 0
    assert family.told[0] == "mortal ended with exit code 3; it starts again in 1 s."


def test_when_a_child_keeps_dying_all_are_stopped_with_1(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "EARLY_DEATHS", 2)
    steady, dying = family.child("steady", FOR_LONG), family.child("dying", "os.kill(os.getpid(), 9)")
    assert family.supervise(steady, dying) == 1
    assert "dying ended by signal 9, 2 times in a row: stopping." in family.told
    assert family.alive() == []


def test_a_child_that_is_misconfigured_is_not_started_again_and_all_stop_with_2(family: Family) -> None:
    assert family.supervise(family.child("steady", FOR_LONG), family.child("wrong", "sys.exit(2)")) == 2
    assert family.notes().count("wrong starts") == 1
    assert family.alive() == []


def test_a_child_that_may_end_has_ended_and_the_others_go_on(family: Family) -> None:
    done = family.child("done", "", may_end=True)
    steady = family.child("steady", FOR_LONG, may_start=lambda: "done has ended." in family.told)
    assert family.supervise(done, steady, stop_when=lambda: "steady starts" in family.notes()) == 0
    assert family.notes().count("done starts") == 1


def test_a_child_that_does_not_stop_is_killed_after_its_grace_with_all_it_started(family: Family) -> None:
    stubborn = family.child(
        "stubborn",
        f"{DEAF}\nimport subprocess\n"
        "code = 'from noting import *; note(\"grandchild starts\"); time.sleep(60)'\n"
        f"subprocess.Popen([sys.executable, '-c', code])\n{FOR_LONG}",
        grace=0.5,
    )
    assert family.supervise(stubborn, stop_when=lambda: "grandchild starts" in family.notes()) == 0
    assert family.told[-1] == "stubborn did not stop: killing it."
    wait_until(lambda: family.alive() == [])


def test_a_second_signal_kills_at_once(family: Family) -> None:
    stubborn = family.child(
        "stubborn", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nnote('deaf')\ntime.sleep(60)"
    )
    began = time.monotonic()
    second = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT))

    def first_is_due() -> bool:
        if "deaf" in family.notes() and not second.is_alive():
            second.start()
            return True
        return False

    assert family.supervise(stubborn, stop_when=first_is_due) == 0
    assert time.monotonic() - began < 20
    assert family.alive() == []


def test_children_end_when_their_parent_is_killed_with_9(family: Family) -> None:
    family.child("orphan", FOR_LONG)
    parent = subprocess.Popen(
        [sys.executable, "-c",
         "import os; from buslog.supervise import *; Supervisor([Child('orphan', 'orphan')], os.environ, print).run()"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(family.folder)])},
    )  # fmt: skip
    wait_until(lambda: "orphan starts" in family.notes())
    assert len(family.alive()) == 1
    parent.kill()
    parent.wait()
    wait_until(lambda: family.alive() == [])


def test_a_child_s_own_stdin_is_empty(family: Family) -> None:
    reading = family.child("reading", "note(f'read {sys.stdin.read()!r}')", may_end=True)
    family.supervise(reading, stop_when=lambda: "reading has ended." in family.told)
    assert "read ''" in family.notes()
