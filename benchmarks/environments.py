"""The environments of the subjects: ours, and one for each peer under `.envs/`, made from its pinned versions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = HERE / ".envs"
PEERS = HERE / "peers"


class Absent(Exception):
    """A subject that this machine cannot have; the text says why, without a path."""


def interpreter(peer: str | None) -> list[str]:
    """The command that runs a subject's script, its environment made first. Raises `Absent`."""
    if peer is None:
        return [sys.executable]
    if (PEERS / f"{peer}.json").exists():
        return [node(peer)]
    return [python(peer)]


def node(peer: str) -> str:
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        raise Absent("Node.js and npm are not installed")
    folder, wanted = ENVIRONMENTS / peer, (PEERS / f"{peer}.json").read_text(encoding="utf-8")
    if not is_current(folder, wanted):
        say(f"Installing {peer}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(wanted, encoding="utf-8")
        install(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"], folder)
        mark(folder, wanted)
    return found


def python(peer: str) -> str:
    folder, wanted = ENVIRONMENTS / peer, (PEERS / f"{peer}.txt").read_text(encoding="utf-8")
    program = folder / "bin" / "python"
    if not is_current(folder, wanted):
        say(f"Installing {peer}")
        install([sys.executable, "-m", "venv", "--clear", str(folder)], HERE)
        pip = [str(program), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        install([*pip, "-r", str(PEERS / f"{peer}.txt")], HERE)
        mark(folder, wanted)
    return str(program)


def redis_server() -> str:
    """The path of `redis-server`, from Debian's package where there is none and we may install it. Raises `Absent`."""
    found = shutil.which("redis-server")
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        say("Installing Debian's redis-server")
        install(["apt-get", "update", "-qq"], HERE)
        install(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "redis-server"], HERE)
        found = shutil.which("redis-server")
    if found is None:
        raise Absent("redis-server is not installed")
    return found


def install(command: list[str], folder: Path) -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, cwd=folder, env=quiet, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise Absent(f"its installation failed ({Path(command[0]).name} ended with {done.returncode})")


def is_current(folder: Path, wanted: str) -> bool:
    stamp = folder / "installed.txt"
    return stamp.exists() and stamp.read_text(encoding="utf-8") == wanted


def mark(folder: Path, wanted: str) -> None:
    (folder / "installed.txt").write_text(wanted, encoding="utf-8")


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
