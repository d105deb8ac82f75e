"""Runs a command that does not outlive whoever started it: `python -m tsad.serving.child_supervisor COMMAND ...`.

It holds the other end of this process's standard input. When that closes, because it let go or because it was killed, the
command is interrupted as by Ctrl-C; what is left of its process group after a while is killed. The exit status is the
command's.
"""

import os
import signal
import subprocess
import sys
import threading
import time

GRACE = 20.0
"""Seconds that an interrupted command has to end."""


def main() -> None:
    """Runs the command of the command line; this process must lead a process group of its own."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what a script starts with `&` ignores it, and hands that down
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603 (whoever starts us chose it)
    # who ends all processes at once, as systemd does, also ends the command, which takes its time; so does this one
    signal.signal(signal.SIGTERM, lambda number, frame: _interrupt(command))
    threading.Thread(target=_watch, args=(command,), daemon=True).start()
    status = command.wait()
    sys.exit(status if status >= 0 else 128 - status)


_interrupted = threading.Event()


def _interrupt(command: "subprocess.Popen[bytes]") -> None:
    """Interrupts the command once: a second time would interrupt what it does about the first."""
    if not _interrupted.is_set():
        _interrupted.set()
        command.send_signal(signal.SIGINT)


def _watch(command: "subprocess.Popen[bytes]") -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    _interrupt(command)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
