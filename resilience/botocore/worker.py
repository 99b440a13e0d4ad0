"""Calls made in a thread that can be left behind, for what no socket of ours bounds.

The caller waits for the thread until the deadline and a moment more, for the thread's
own sockets end in time and then the real error is there. After that the call is closed
where the caller stands, and the thread finds its flight abandoned: it sends nothing
any more. Off unless asked for; the price is written at `register`.
"""

import os
import queue
import threading
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import Context, copy_context
from functools import partial
from typing import Any

from botocore.exceptions import ReadTimeoutError

from .emitter import Handler
from .flight import Flight
from .rejected import BotocoreRejected


MOST = 64
"""Threads that are left behind at once; a further call waits for a place, in time."""
GRACE_S = 0.004
"""What a thread may take to end on its own after the deadline."""
IDLE_S = 10.0
"""How long a thread waits for another call before it ends."""
Native = Callable[..., Any]


class ThreadedFlight(Flight):
    """A flight whose caller may leave while its thread goes on."""

    __slots__ = ("_gate", "_is_left", "_on_wire")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._gate = threading.RLock()
        self._is_left = self._on_wire = False
        super().__init__(*args, **kwargs)

    def leave(self) -> Exception:
        """From here on the thread has no say; what the caller gets instead.

        It is the last real error, when the thread was about to try again.
        """
        with self._gate:
            self._is_left = True
            self.limit.kept = False
            self.limit.at = self.limit.now()
            if self._on_wire:
                url, late = self.guard.endpoint_url, TimeoutError("the deadline passed")
                error: Exception = ReadTimeoutError(endpoint_url=url, error=late)
                return error
            return self.last_error() or self.unsent()

    def before_send(self, context: MutableMapping[str, Any]) -> None:
        """As a flight does, while its caller waits.

        Raises:
            BotocoreRejected: he does not; nobody but handlers sees it.
        """
        with self._gate:
            if self._is_left:
                raise self.unsent()
            super().before_send(context)
            self._on_wire = True

    def is_well(self, event: Mapping[str, Any]) -> bool:
        """Not seen at a glance: its caller may have left."""
        return False

    def needs_retry(self, native: Handler | None, event: dict[str, Any]) -> Any:
        """As a flight does, while its caller waits."""
        with self._gate:
            self._on_wire = False
            return None if self._is_left else super().needs_retry(native, event)

    def unsent(self) -> BotocoreRejected:
        """The error of a call whose time passed before anything was sent."""
        return self.refused(
            "the deadline passed while the request was made ready (credentials, "
            "signing, handlers)"
        )


def in_worker(
    flight: ThreadedFlight, native: Native, name: str, params: Mapping[str, Any]
) -> Any:
    """Make the call of *flight* in a thread, and be back by its deadline.

    Raises:
        Exception: what the call raised; when the thread was left behind, what is known
            of the call: its last real error, a `ReadTimeoutError`, or
            `BotocoreRejected` when nothing was sent.
    """
    ends_at = flight.deadline_at
    if ends_at is None:
        return native(name, params)
    now = flight.limit.now
    if not _threads.has_place(ends_at - now()):
        raise flight.leave()
    job = _Job(copy_context(), native, name, params)
    try:
        _threads.start(job)
    except RuntimeError:  # no more threads: better soft than not at all
        return native(name, params)
    try:
        ended = job.wait(max(0.0, ends_at - now()) + GRACE_S)
    except BaseException:
        _threads.leave(job)
        flight.leave()
        raise
    if ended or not _threads.leave(job):
        return job.answer()
    raise flight.leave()


class _Job:
    """One call in a thread."""

    def __init__(
        self, context: Context, native: Native, name: str, params: Mapping[str, Any]
    ) -> None:
        self._call = partial(context.run, native, name, params)
        self._done = threading.Event()
        self._answer: Any = None
        self._error: BaseException | None = None
        self.is_left = False

    def run(self) -> None:
        try:
            self._answer = self._call()
        except BaseException as error:  # noqa: BLE001 - it belongs to who waits
            self._error = error

    def end(self) -> None:
        self._done.set()

    def wait(self, timeout_s: float) -> bool:
        return self._done.wait(timeout_s)

    def answer(self) -> Any:
        error, self._error = self._error, None
        if error is None:
            return self._answer
        try:
            raise error
        finally:
            error = None  # no cycle by way of its traceback


class _Threads:
    """The threads of the process that make calls. Safe to share between threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._idle: list[queue.SimpleQueue[_Job]] = []
        self._left = 0

    def has_place(self, timeout_s: float) -> bool:
        """Wait until fewer than `MOST` threads are left behind; False: in vain."""
        if self._left < MOST:
            return True
        with self._changed:
            return self._changed.wait_for(
                lambda: self._left < MOST, max(0.0, timeout_s)
            )

    def start(self, job: _Job) -> None:
        """Have a thread make *job*.

        Raises:
            RuntimeError: the process can have no more threads.
        """
        with self._changed:
            waiting = self._idle.pop() if self._idle else None
        if waiting is not None:
            waiting.put(job)
            return
        threading.Thread(
            target=self._work, args=(job,), name="resilience-call", daemon=True
        ).start()

    def leave(self, job: _Job) -> bool:
        """Leave *job*'s thread behind; False: it has just ended."""
        with self._changed:
            if job.wait(0):
                return False
            job.is_left = True
            self._left += 1
            return True

    def _work(self, job: _Job) -> None:
        inbox: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        while True:
            job.run()
            with self._changed:
                if job.is_left:
                    self._left -= 1
                    self._changed.notify_all()
                self._idle.append(inbox)
                job.end()
            del job
            try:
                job = inbox.get(timeout=IDLE_S)
            except queue.Empty:
                with self._changed:
                    if inbox in self._idle:
                        self._idle.remove(inbox)
                        return
                job = inbox.get()  # it was handed over just now


_threads = _Threads()


def _renew() -> None:
    """Begin anew after a fork: no thread of the parent came along."""
    global _threads  # noqa: PLW0603 - one for the process
    _threads = _Threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
