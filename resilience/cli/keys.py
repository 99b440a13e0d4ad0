"""One key of the terminal, heard while something else is shown.

Where the input is no terminal nothing is heard. The terminal is left as it was.
"""

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator


_EVERY_S = 0.2


@contextlib.contextmanager
def pressed(key: str, then: Callable[[], object]) -> Iterator[None]:
    """Inside it, *then* is called when *key* is pressed."""
    try:
        import termios
        import tty
    except ImportError:  # not a system of this kind
        yield
        return
    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (OSError, ValueError, AttributeError, termios.error):  # a pipe or a file
        yield
        return
    ended = threading.Event()

    def listen() -> None:
        while not ended.is_set():
            ready = select.select([descriptor], [], [], _EVERY_S)[0]
            if ready and os.read(descriptor, 1) == key.encode():
                then()
                return

    listener = threading.Thread(target=listen, daemon=True)
    try:
        tty.setcbreak(descriptor)
        listener.start()
        yield
    finally:
        ended.set()
        listener.join()
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
