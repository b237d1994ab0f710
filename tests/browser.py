"""The browser of the dashboard tests: an installed Chromium or Chrome, else Debian's package, else Playwright's own.

Run as a script (`make browser`), it gets one where there is none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
APPLICATIONS = Path("/Applications")
PLACES = (
    APPLICATIONS / "Google Chrome.app/Contents/MacOS/Google Chrome",
    APPLICATIONS / "Chromium.app/Contents/MacOS/Chromium",
)


def installed() -> str | None:
    """The path of an installed browser; None: Playwright's own is to be used."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or next((str(place) for place in PLACES if place.exists()), None)


def playwrights_own() -> bool:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()


def install() -> None:
    """Debian's package where apt-get is at hand, else Playwright's download."""
    apt = shutil.which("apt-get")
    as_root = [] if os.geteuid() == 0 else [shutil.which("sudo") or "", "-n"]
    if apt and as_root != ["", "-n"]:
        sys.stderr.write("Installing Debian's chromium for the dashboard tests\n")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
            subprocess.run([*as_root, apt, *arguments], check=True, stdout=subprocess.DEVNULL, env=quiet)
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


if __name__ == "__main__":
    if installed() is None and not playwrights_own():
        install()
