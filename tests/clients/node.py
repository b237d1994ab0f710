"""Node.js and its `pg`: an installed Node.js, else Debian's package; `pg` by npm, as package-lock.json says.

Run as a script (`make node`), it gets what is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
INSTALLED = HERE / "node_modules" / ".package-lock.json"


class Absent(Exception):
    """Neither installed nor to be had."""


def node() -> str:
    """The path of Node.js, with `pg` beside this file. Raises `Absent`."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        raise Absent("Node.js and npm are not installed: `make node` gets them where apt-get is at hand")
    lock = HERE / "package-lock.json"
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < lock.stat().st_mtime:
        done = subprocess.run([npm, "ci", "--silent"], cwd=HERE, check=False, capture_output=True, text=True)
        if done.returncode:
            raise Absent(f"npm ci ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        INSTALLED.touch()
    return found


def install() -> None:
    """Debian's package, where apt-get is at hand."""
    apt = shutil.which("apt-get")
    as_root = [] if os.geteuid() == 0 else [shutil.which("sudo") or "", "-n"]
    if apt is None or as_root == ["", "-n"]:
        return
    sys.stderr.write("Installing Debian's nodejs and npm for the tests of other languages' clients\n")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "nodejs", "npm"]):
        subprocess.run([*as_root, apt, *arguments], check=True, stdout=subprocess.DEVNULL, env=quiet)


if __name__ == "__main__":
    if shutil.which("node") is None or shutil.which("npm") is None:
        install()
