"""Who shares an engine's breakers and budgets: its process alone, or its host.

The host's state is joined with the first breaker that has evidence to share. What is
wrong with it is written down here and said by the engine when it binds next, never
under a breaker's lock.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from resilience.core.record import Notice
from resilience.core.scope import MakeRows, own_rows
from resilience.core.ticks import Rows


if TYPE_CHECKING:
    from resilience.state import HostState


class Sharing:
    """What an engine asks for its rows. Safe to share between threads.

    Args:
        rows: where breakers keep their evidence, whatever the policy says; None: where
            it says.
        now: monotonic seconds.
        wake: has the engine bind anew, and so ask for `notices`.
    """

    def __init__(
        self,
        rows: MakeRows | None,
        now: Callable[[], float],
        wake: Callable[[], object],
    ) -> None:
        self._given = rows
        self._now = now
        self._wake = wake
        self._state, self._name = "process", ""
        self._host: HostState | None = None
        self._notices: tuple[Notice, ...] = ()

    def adopt(self, state: str, name: str) -> bool:
        """Share as a policy says; True: with others than before."""
        if (state, name) == (self._state, self._name):
            return False
        was_shared = self._state == "host"
        self._state, self._name = state, name
        host, self._host = self._host, None
        if host is not None:
            host.close()
        return self._given is None and (was_shared or state == "host")

    @property
    def is_with_host(self) -> bool:
        """Does the policy share state with other processes of the host?"""
        return self._given is None and self._state == "host"

    def rows(self, key: str) -> Rows:
        """The evidence of the scope called *key*."""
        if self._given is not None:
            return self._given(key)
        if self._state != "host":
            return own_rows(key)
        host = self._host
        if host is None:
            try:
                from resilience.state import HostState
            except ImportError as error:  # no mmap or no file locks on this system
                text = f"state is kept in the process, not on the host: {error}"
                self._tell("host-state", text)
                self._state = "process"
                return own_rows(key)
            host = self._host = HostState(self._name, self._tell)
        # Joined here, in no call and under no lock, rather than with the first tick.
        host.pulse(self._now())
        return host.rows(key)

    def processes(self) -> int:
        """How many live processes share, this one included."""
        host = self._host
        return 1 if host is None else host.processes

    def _tell(self, code: str, text: str) -> None:
        self._notices = (*self._notices, Notice(code, text, self._now()))
        self._wake()

    def notices(self) -> tuple[Notice, ...]:
        """What nobody was told of yet."""
        told, self._notices = self._notices, ()
        return told

    def renew(self) -> None:
        """Share as a process of its own, after a fork."""
        if self._host is not None:
            self._host.renew()

    def close(self) -> None:
        """Leave the others."""
        if self._host is not None:
            self._host.close()
