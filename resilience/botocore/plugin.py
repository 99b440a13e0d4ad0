"""Protection without a line of code, for every client of every session of a process.

botocore calls `initialize_client_plugin` for each client that it makes when the
environment says `BOTOCORE_EXPERIMENTAL__PLUGINS=resilience=resilience.botocore.plugin`.
The policy is what `RESILIENCE_POLICY` names. botocore calls this way experimental, and
it may go: `register` is the one that stays.
"""

import logging
import os
import threading
from typing import Any

from resilience.engine import PolicyEngine

from .register import is_registered, register


POLICY = "RESILIENCE_POLICY"
"""Paths of policy files, as in `PATH`: later ones overlay the first. Unset or empty:
the safe defaults of `PolicyEngine()`."""
logger = logging.getLogger("resilience.botocore")


class _Engine:
    """The one engine of the process, made when the first client is."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._is_made = False
        self._engine: PolicyEngine | None = None

    def get(self) -> PolicyEngine | None:
        """The engine; None: its policy cannot be read, which was said once."""
        with self.lock:
            if not self._is_made:
                self._engine = _made()
                self._is_made = True
            return self._engine


def initialize_client_plugin(client: Any) -> None:
    """Protect *client*, unless its session, or somebody else, did so already.

    botocore calls this. Clients stay bare, with one warning, when the policy cannot be
    read: nothing is raised. Safe to call from any thread.
    """
    if is_registered(client):
        return
    try:
        engine = _engine.get()
        if engine is not None:
            register(client, engine)
    except Exception:
        logger.warning("a client stays bare", exc_info=True)


def _made() -> PolicyEngine | None:
    paths = [path for path in os.environ.get(POLICY, "").split(os.pathsep) if path]
    try:
        return PolicyEngine.from_yaml(*paths) if paths else PolicyEngine()
    except Exception as error:  # noqa: BLE001 - botocore would hide it
        logger.warning("%s cannot be used, all clients stay bare: %s", POLICY, error)
        return None


_engine = _Engine()


def _renew_lock() -> None:
    _engine.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
