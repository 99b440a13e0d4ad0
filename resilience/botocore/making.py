"""The lock under which the first calls of a client make what its later ones share."""

import os
import threading


_lock = threading.Lock()


def making() -> threading.Lock:
    """The lock: first calls wait for one another, whichever their clients are."""
    return _lock


def _renew() -> None:
    """Make it new, after a fork: nobody in the child would ever release it."""
    global _lock  # noqa: PLW0603 - one lock for the process
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
