"""A live drill in this process: whom a fault hits now, and when all is over.

It injects from its beginning until its time is up, its file is gone or changed, or
somebody stops it; then never again. Whatever waits in a fault is let go at once. Safe
to share between threads.
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any, Final

from resilience.core.record import Notice
from resilience.core.target import Target
from resilience.policy.match import split

from . import marks
from .flow import Flow, flow
from .marks import CallSeen, Mark
from .model import Drill, Fault
from .shown import EXPIRED, FILE_CHANGED, TIME_IS_UP, shown, told
from .stamp import stamp_of


if TYPE_CHECKING:
    from resilience.engine import PolicyEngine

    from .announcing import Announcement

LOOK_S: Final = 1.0
"""How often the drill file is looked at."""
_LOGGER = logging.getLogger("resilience.drill")


class Seam:
    """The drill of a process, which adapters ask about each attempt."""

    def __init__(
        self,
        drill: Drill,
        path: str | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the drill.

        Args:
            drill: what is injected.
            path: of its file, which stops the drill by going away; None: nobody looks.
            now: monotonic seconds.
            wall: the time of day, for `expires`.
        """
        self.drill = drill
        self.now = now
        self.began = now()
        """The drill's start, monotonic."""
        self.is_over = ""
        """Why nothing is injected any more; empty: the drill goes on."""
        self.injected: dict[str, int] = {}
        """How many attempts each kind of fault has hit."""
        self.hits = [0] * len(drill.faults)
        """The same of each fault, in the drill's order."""
        self.file = "" if path is None else os.path.abspath(path)  # noqa: PTH100 - as given
        """Where it was read; empty: nowhere."""
        self._announcement: Announcement | None = None
        self.listeners: list[Callable[[CallSeen], None]] = []
        """Told of each call that has ended."""
        self._wall = wall
        self._path = path
        self.stamp = None if path is None else stamp_of(path)
        """Of its file when it was read; None: it was not there."""
        self._next_look = 0.0
        self._lock = threading.Lock()
        self._random = Random(drill.seed).random
        self._aims: dict[tuple[str, str, str, str], tuple[tuple[int, Fault], ...]] = {}
        self._waiting: set[Callable[[], None]] = set()
        self._engines: weakref.WeakSet[PolicyEngine] = weakref.WeakSet()

    # -- its time ------------------------------------------------------------------

    def renew(self) -> None:
        """Draw and count by itself, after a fork: else all would hit the same calls."""
        self._lock = threading.Lock()
        self.injected, self.hits = {}, [0] * len(self.hits)
        announcement, self._announcement = self._announcement, None
        if announcement is not None:
            announcement.withdraw()
            self.announce()
        self._random = Random(f"{self.drill.seed}-{os.getpid()}").random

    def begin(self, at: float | None = None) -> None:
        """The drill starts now, or at the monotonic moment *at*; infinity: not yet."""
        self.began = self.now() if at is None else at
        with self._lock:
            if self._announcement is not None:
                self._announcement.began(self.elapsed())

    def announce(self) -> None:
        """Let `resilience status` on this host show it, until it is over."""
        from .announcing import Announcement

        with self._lock:
            if self._announcement is None and not self.is_over:
                self._announcement = Announcement(self)

    def shown(self) -> dict[str, Any]:
        """How it stands, as data ready for JSON: a part of `engine.snapshot()`."""
        self.is_on()
        drill = shown(self.drill, self.file)
        return drill.at(self.elapsed(), self.hits, why=self.is_over).as_dict()

    def elapsed(self) -> float:
        """Seconds from its start."""
        return self.now() - self.began

    def attach(self, engine: "PolicyEngine") -> None:
        """Let *engine*'s sinks know of the drill; harmless twice."""
        if engine in self._engines:
            return
        self._engines.add(engine)
        engine.drilled = self.shown
        text = told(self.drill, self.file)
        engine.emit((Notice("drill", text, engine.now()),))

    def stop(self, reason: str) -> None:
        """End the drill at once: nothing is injected, and nobody waits any more."""
        with self._lock:
            if self.is_over:
                return
            self.is_over = reason
            if self._announcement is not None:
                self._announcement.withdraw()
        hit = ", ".join(f"{n} {kind}" for kind, n in sorted(self.injected.items()))
        text = (
            f"drill {self.drill.name} is over ({reason}): {hit or 'nothing'} injected"
        )
        _LOGGER.warning("%s", text)
        for wake in tuple(self._waiting):
            wake()
        for engine in tuple(self._engines):
            engine.emit((Notice("drill", text, engine.now()),))

    def wake_at_stop(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have *wake* called when the drill is stopped; returns what undoes that."""
        self._waiting.add(wake)
        if self.is_over:
            wake()
        return lambda: self._waiting.discard(wake)

    def is_on(self) -> bool:
        """Does it inject? Looks at the time, and at its file once in a while."""
        if self.is_over:
            return False
        now = self.now()
        if now - self.began >= self.drill.duration:
            self.stop(TIME_IS_UP)
        elif self.drill.expires is not None and self._wall() >= self.drill.expires:
            self.stop(EXPIRED)
        elif self._path is not None and now >= self._next_look:
            self._next_look = now + LOOK_S
            if stamp_of(self._path) != self.stamp:
                self.stop(FILE_CHANGED)
        return not self.is_over

    # -- faults --------------------------------------------------------------------

    def pick(self, target: Target) -> Fault | None:
        """The fault that an attempt at *target* meets; None: it goes through."""
        mark = marks.current.get()
        if mark is not None:
            mark.attempts += 1
        aims = self._aimed_at(target)
        if not aims or not self.is_on():
            return None
        elapsed = self.elapsed()
        for place, fault in aims:
            if fault.at <= elapsed < fault.ends and self._random() < fault.ratio:
                with self._lock:
                    hit = self.injected.get(fault.kind, 0)
                    self.injected[fault.kind] = hit + 1
                    self.hits[place] += 1
                    if self._announcement is not None:
                        self._announcement.hit(place, self.hits[place])
                if mark is not None:
                    mark.injected += (fault.kind,)
                return fault
        return None

    def flow(
        self, fault: Fault, timeout_s: float | None, *, streams: bool = False
    ) -> Flow:
        """What *fault* does to an attempt with a limit of *timeout_s*."""

        def left() -> float:
            return fault.ends - self.elapsed()

        return flow(fault, timeout_s, self.now, left, streams=streams)

    def is_down(self, protocol: str, name: str) -> bool:
        """Are all connections to the target *name* refused now?"""
        elapsed = self.elapsed()
        return self.is_on() and any(
            fault.kind == "refuse"
            and fault.ratio >= 1
            and fault.at <= elapsed < fault.ends
            and (not fault.targets or name in fault.targets)
            and protocol in _protocols(fault)
            for fault in self.drill.faults
        )

    def words(self, text: str) -> str:
        """*text* of an injected error, signed: nobody may take it for a real one."""
        return f"{text} (drill {self.drill.name})"

    def _aimed_at(self, target: Target) -> tuple[tuple[int, Fault], ...]:
        key = (target.protocol, target.name, target.service, target.method)
        found = self._aims.get(key)
        if found is None:
            found = self._aims[key] = tuple(
                (place, fault)
                for place, fault in enumerate(self.drill.faults)
                if hits(fault, target)
            )
        return found

    # -- calls ---------------------------------------------------------------------

    def mark(
        self, target: Target, idempotency: str, limit_s: float | None
    ) -> Mark | None:
        """A mark for the call that begins here; None: it is part of another one."""
        if marks.current.get() is not None:
            return None
        return Mark(target, idempotency, self.now(), limit_s)

    def ended(self, mark: Mark, code: str) -> None:
        """The call of *mark* has ended in *code*."""
        if not self.listeners:
            return
        seen = CallSeen(
            mark.target.full_method,
            mark.began - self.began,
            self.now() - mark.began,
            code,
            mark.attempts,
            mark.answered,
            mark.idempotency,
            mark.limit_s,
            mark.injected,
        )
        for listener in self.listeners:
            listener(seen)


def answered(target: Target) -> None:
    """The server has executed an attempt of the call under way here."""
    mark = marks.current.get()
    if mark is not None and mark.target == target:
        mark.answered += 1


def hits(fault: Fault, target: Target) -> bool:
    """Is *target* among those that *fault* may hit?"""
    if fault.targets and target.name not in fault.targets:
        return False
    if target.protocol not in _protocols(fault):
        return False
    return not fault.methods or any(
        split(target.protocol, pattern)
        in ((target.service, target.method), (target.service, "*"))
        for pattern in fault.methods
    )


def _protocols(fault: Fault) -> frozenset[str]:
    """The protocols that a fault's patterns and code belong to."""
    if fault.methods:
        slashes = {"/" in pattern for pattern in fault.methods}
        return frozenset("grpc" if slash else "aws" for slash in slashes)
    if fault.kind == "status":
        return frozenset({"grpc" if fault.code.isupper() else "aws"})
    return frozenset({"grpc", "aws"})
