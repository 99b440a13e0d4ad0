"""This process among those of its host: joined, beating, or alone after all.

Whatever is wrong with the file, calls go on: each process then keeps its own state, and
that is said once. Problems are told by `tell`, which is called under locks and must
only write them down. No thread: the heart beats with the calls.
"""

import os
import threading
from collections.abc import Callable

from .member import Member
from .place import UnusableError
from .rows import HostRows


PULSE_S = 0.05
"""How often a process looks who lives, at most."""
LOOK_S = 0.5
"""How often it looks for newcomers, for another file under the name and for damage."""
AGAIN_S = 30.0
"""How long it is alone before it tries again."""


class HostState:
    """The host's state, as one process sees it. Safe to share between threads.

    Args:
        policy: the policy's name: processes of one name share.
        tell: is given a code and a text, each code once.
    """

    def __init__(self, policy: str, tell: Callable[[str, str], object]) -> None:
        self._policy = policy
        self._tell = tell
        self._told: set[str] = set()
        self.has_room = True
        """May calm scopes have rows too?"""
        self._renew()

    def _renew(self) -> None:
        self.lock = threading.Lock()
        """Of the own slot: short, and never held while anything waits."""
        self._pulsing = threading.Lock()
        self._member: Member | None = None
        self._next_pulse = self._next_look = self._again_at = float("-inf")
        self._is_closed = False

    def renew(self) -> None:
        """Take a slot of its own, after a fork: the parent keeps the one it has."""
        member = self._member
        if member is not None:
            member.leave(forked=True)
        self._renew()

    def rows(self, key: str) -> HostRows:
        """The rows of the scope called *key*."""
        return HostRows(self, key)

    @property
    def processes(self) -> int:
        """How many live on this host, this one included; 1 or more."""
        member = self._member
        return 1 if member is None else 1 + len(member.peers)

    def pulse(self, now: float) -> Member | None:
        """Live on; the place in the file, None: alone.

        Args:
            now: monotonic seconds, of the clock that all processes share.
        """
        pulsing = self._pulsing
        if now < self._next_pulse or not pulsing.acquire(blocking=False):
            return self._member
        try:
            self._next_pulse = now + PULSE_S
            self._beat(now)
        except (OSError, ValueError, UnusableError) as error:
            self._part()
            self.failed(str(error))
        finally:
            pulsing.release()
        return self._member

    def _beat(self, now: float) -> None:
        member = self._member
        thorough = now >= self._next_look
        if thorough:
            self._next_look = now + LOOK_S
            if member is not None and not (member.is_sound and member.file.is_current):
                self._part()
                self._again_at = now
                member = None
        if member is not None and member.pid != os.getpid():
            self.renew()  # a fork that did not run the handlers of forks
            return
        if member is None:
            if now < self._again_at or self._is_closed:
                return
            self._again_at = now + AGAIN_S
            thorough = True
            member, was_replaced = Member.join(self._policy)
            self._member = member
            if was_replaced:
                text = f"{member.file.path} was damaged or of another version"
                self._say("host-state-replaced", f"{text}: it is a new one now")
        if member.file.is_whole:
            member.whole_at = now
            member.beat(int(now * 1e9), thorough=thorough)
            if thorough:
                with self.lock:
                    member.sweep()
                self.has_room = True

    def _part(self) -> None:
        member, self._member = self._member, None
        if member is not None:
            member.leave()

    def crowded(self) -> None:
        """No row is left for a calm scope; asked again after the next look."""
        self.has_room = False

    def failed(self, why: str) -> None:
        """Say, once, that state is this process's own."""
        text = f"state is kept in the process, not on the host: {why}"
        self._say("host-state", text)

    def _say(self, code: str, text: str) -> None:
        if code not in self._told:
            self._told.add(code)
            self._tell(code, text)

    def close(self) -> None:
        """Leave the host; harmless twice."""
        self._is_closed = True
        self._part()
