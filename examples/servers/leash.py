"""Run a command that dies with its parent: `python leash.py PARENT_PID command ...`.

The kernel sends SIGKILL to the command when the thread that started it ends, so not
even a killed parent leaves a server behind. Linux only; elsewhere it just runs it.
"""

import ctypes
import os
import signal
import sys


PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Bind this process to its parent and become the command."""
    parent, command = int(argv[0]), argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the leash was on
        raise SystemExit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
