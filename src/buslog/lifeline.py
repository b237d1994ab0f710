"""`python -m buslog.lifeline MODULE [ARGUMENT]…`: runs a module that ends when its parent does.

The parent holds the other end of stdin. However it dies, kill -9 included, the kernel closes that end; the module is
then asked to stop by SIGTERM, and made to after `LAST_SECONDS`. Started by `supervise` only.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

LAST_SECONDS = 30


def main() -> None:
    line = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the module's own stdin is empty
    threading.Thread(target=_end_with_parent, args=(line,), name="buslog-lifeline", daemon=True).start()
    module = sys.argv[1]
    sys.argv = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_parent(line: int) -> None:
    while os.read(line, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LAST_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
