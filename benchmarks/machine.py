"""What the figures were measured on: no host names, no paths."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

from benchmarks.environments import HERE, PEERS
from benchmarks.services import Services
from tests.browser import installed

SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size")


def describe(services: Services) -> list[tuple[str, str]]:
    """(what, which), in the order to print them."""
    postgres = services.setting("server_version")
    return [
        ("processor", f"{processor()}, {os.cpu_count()} cores"),
        ("memory", memory()),
        ("system", f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"),
        ("PostgreSQL", f"{postgres}, embedded, through a Unix socket"),
        ("its settings", ", ".join(f"{name} {services.setting(name)}" for name in SETTINGS)),
        ("buslog", f"{own_version()}, psycopg {version('psycopg')}, Streamlit {version('streamlit')}"),
        ("peers", ", ".join(peers())),
        ("Redis", f"{program_version('redis-server')}, in memory only, through a Unix socket"),
        ("Node.js", program_version("node")),
        ("Chromium", program_version(installed() or "chromium")),
    ]


def own_version() -> str:
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def peers() -> list[str]:
    """The pinned version of each peer, and of the driver it was given."""
    python = [
        pin.strip() for file in sorted(PEERS.glob("*.txt")) for pin in file.read_text(encoding="utf-8").splitlines()
    ]
    node = [
        f"{name}=={pinned}"
        for file in sorted(PEERS.glob("*.json"))
        for name, pinned in re.findall(r'"([@/\w-]+)": "([\d.]+)"', file.read_text(encoding="utf-8"))
    ]
    return list(dict.fromkeys(re.sub(r"\[.*?\]", "", pin).replace("==", " ") for pin in python + node))


def program_version(program: str) -> str:
    if shutil.which(program) is None:
        return "absent"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+\.\d+", said)
    return found[0] if found else "of an unknown version"
