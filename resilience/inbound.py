"""The call that we serve, as the calls made on its behalf see it.

A server interceptor makes one for each call it serves. It says by when work must end,
how often the caller has tried before, and whether he still waits. Knows no protocol.
"""

import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol


MOST_PROBED = 16
"""Scopes that the mark of one probe lets calls through to, each once."""
RESERVE_S = 0.005
RESERVE_RATIO = 0.01
"""Of what the caller allows, this much is kept back from outgoing calls: their answer
has to become ours in time. The larger of the two counts."""


def less_reserve(remaining_s: float) -> float:
    """What of *remaining_s* outgoing calls may spend; below 0: nothing is left."""
    return remaining_s - max(RESERVE_S, RESERVE_RATIO * remaining_s)


class Cancellable(Protocol):
    """An outgoing call that can be stopped."""

    def cancel(self) -> Any:
        """Stop it; harmless after its end."""


class Loop(Protocol):
    """What is asked of the event loop that owns a call."""

    def call_soon_threadsafe(self, callback: Callable[[], Any]) -> Any:
        """Have the loop call *callback*."""


class CallerLeft(BaseException):
    """Raised out of a wait: who asked for the work is gone. Never reaches users."""


class Inbound:
    """A call that is being served. Safe to share between threads."""

    __slots__ = (
        "__weakref__",
        "_calls",
        "_left",
        "_level",
        "_lock",
        "_probed",
        "call_id",
        "deadline_at",
        "has_ended",
        "is_probe",
        "passes_level",
        "previous_attempts",
    )

    def __init__(
        self,
        *,
        deadline_at: float | None = None,
        previous_attempts: int = 0,
        call_id: str = "",
        level: float | None = None,
        is_probe: bool = False,
    ) -> None:
        self.deadline_at = deadline_at
        """When outgoing calls must have ended, monotonic, the reserve taken off; None:
        the caller set no deadline."""
        self.previous_attempts = previous_attempts
        """How many attempts were made before this one, here and above."""
        self.call_id = call_id
        """What both ends log."""
        self.passes_level = level is not None
        """Was *level* sent by a trusted caller, to be told to those below?"""
        self.is_probe = is_probe
        """A trusted caller's breaker has let it through to see how things are."""
        self._level = level
        self._probed: set[str] | None = None
        self.has_ended = False
        """The handler has finished: what goes on now is nobody's call any more."""
        self._lock = threading.Lock()
        self._left: threading.Event | None = None
        self._calls: weakref.WeakKeyDictionary[Cancellable, Loop | None] | None = None

    @property
    def has_left(self) -> bool:
        """The caller cancelled, or is gone, before the handler had finished."""
        return self._left is not None and self._left.is_set()

    @property
    def level(self) -> float | None:
        """The place in its class that all calls made for it share: 0.0 to below 1.0.

        Where the caller sent none it is taken from the call's own random id. None:
        there is no such id, and calls draw their own.
        """
        if self._level is None and self.call_id:
            with suppress(ValueError):
                self._level = int(self.call_id[:8], 16) / 2**32
        return self._level

    def probes(self, scope: str) -> bool:
        """May a call to *scope* go as part of the probe that this one is?

        Once for each scope: a mark lets through what it was given for, and no loop of
        calls.
        """
        if not self.is_probe or self.has_ended:
            return False
        with self._lock:
            probed = self._probed
            if probed is None:
                probed = self._probed = set()
            if scope in probed or len(probed) >= MOST_PROBED:
                return False
            probed.add(scope)
            return True

    def adopt(self, call: Cancellable, loop: Loop | None = None) -> None:
        """Have the outgoing *call* cancelled when our caller leaves, or if he has.

        It is held weakly. *loop* owns calls that only it may cancel. What is begun
        after he has left is the handler's own cleaning up: do not adopt it.
        """
        with self._lock:
            if self.has_ended:
                return
            if not self.has_left:
                if self._calls is None:
                    self._calls = weakref.WeakKeyDictionary()
                # What cannot be held weakly ends by its deadline.
                with suppress(TypeError):
                    self._calls[call] = loop
                return
        _cancel(call, loop)

    def leave(self) -> None:
        """The caller is gone: cancel what was begun for him, end the waits.

        Harmless twice, and after the end.
        """
        with self._lock:
            if self.has_ended or self.has_left:
                return
            self._event_locked().set()
            calls = [] if self._calls is None else [*self._calls.items()]
            self._calls = None
        for call, loop in calls:
            _cancel(call, loop)

    def end(self) -> None:
        """The handler has finished."""
        with self._lock:
            self.has_ended = True
            self._calls = None

    def pause(self, seconds: float) -> bool:
        """Wait, unless the caller leaves: True if he has. Blocks the thread."""
        with self._lock:
            event = self._event_locked()
        return event.wait(seconds)

    def _event_locked(self) -> threading.Event:
        if self._left is None:
            self._left = threading.Event()
        return self._left


def _cancel(call: Cancellable, loop: Loop | None) -> None:
    try:
        if loop is None:
            call.cancel()
        else:
            loop.call_soon_threadsafe(call.cancel)
    except Exception:  # noqa: BLE001, S110 - a closed loop: its calls are gone
        pass
