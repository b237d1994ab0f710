"""The command, started warm: a process that has imported it forks for each start.

What runs is the whole program in a process of its own, with its own arguments, environment, folder, streams and exit
code; only the second that its imports take is not spent again by each of hundreds of tests. Workers, and whatever is
about the start itself, are started cold (`Cli.start`).
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

SECONDS = 60  # that a command may take
ROOT = Path(__file__).parents[3]


class Starter:
    """Asks the warm process for one command after the other."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.cli.warm", str(theirs.fileno())], cwd=ROOT,
                pass_fds=[theirs.fileno()], env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            )  # fmt: skip
        self._line.settimeout(SECONDS)

    def run(
        self, arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str], stdin: bytes
    ) -> tuple[int, bytes, bytes]:
        """Its exit code, and what it wrote to its two streams."""
        asked = json.dumps([arguments, str(folder), dict(environment)]).encode()
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin)
            given.seek(0)
            socket.send_fds(self._line, [asked], [given.fileno(), out.fileno(), err.fileno()])
            pid = json.loads(self._line.recv(100))
            try:
                code = json.loads(self._line.recv(100))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                self.stop()
                raise
            out.seek(0)
            err.seek(0)
            return code, out.read(), err.read()

    def stop(self) -> None:
        self._line.close()
        self._process.wait(10)


def serve(line: socket.socket) -> None:
    """Forks for each command that is asked for; returns in the fork, as what it is to become, or at the end."""
    while True:
        asked, streams, _, _ = socket.recv_fds(line, 1_000_000, 3)
        if not asked:
            return
        pid = os.fork()
        if pid == 0:
            line.close()
            arguments, folder, environment = json.loads(asked)
            _become(arguments, folder, environment, streams)
            return
        for stream in streams:
            os.close(stream)
        line.send(json.dumps(pid).encode())
        _, status = os.waitpid(pid, 0)
        line.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())


def _become(arguments: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    sys.argv = ["buslog", *arguments]


if __name__ == "__main__":
    from buslog import doctor, export  # noqa: F401  (imported by some commands only; with it come the reads)
    from buslog.cli import main

    gc.freeze()  # what is shared by all of them stays so
    before = os.getpid()
    serve(socket.socket(fileno=int(sys.argv[1])))
    if os.getpid() != before:
        main()
