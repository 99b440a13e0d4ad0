"""A streamed answer: read from whichever attempt turns out to be the call's.

Until its first message an attempt can be replaced by another; from then on the reader
reads the native stream with nothing in between. While a reader waits for a message the
end of the attempt is kept back for it, so that a message that came before the end is
delivered, and the call is never repeated after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from resilience.core.outcome import TIMED_OUT, Outcome
from resilience.drivers.idle import IdleWatch

from .flight import Flight, TimedOut
from .future import CallFuture


if TYPE_CHECKING:
    from resilience.core.call import Call

    from .sending import Sending


class StreamFlight(Flight):
    """A call with a streamed answer under way. Safe to share between threads."""

    streams = True

    def __init__(self, call: Call, sending: Sending) -> None:
        super().__init__(call, sending)
        self.watch: IdleWatch | None = None
        """None: the policy has no idle timeout."""
        self._readers = 0
        self._kept_back: tuple[int, Outcome] | None = None
        self._policy = sending.binding.policy
        engine = sending.route.engine
        idle_s = self._policy.idle_timeout_s
        if idle_s is not None and sending.binding.mode == "enforce":
            self.watch = IdleWatch(idle_s, engine.timer, engine.now, self._idle)

    # -- the reader's side -------------------------------------------------------

    def read_first(self) -> tuple[Any, Any]:
        """The first message and the native stream that goes on; blocks.

        Raises:
            StopIteration: the call ended well without one.
            Ended: it ended otherwise.
        """
        seen = 0
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self._is_readable(seen))  # noqa: B023 - at once
                if self.number == seen or self.native is None:
                    break  # the call has ended; there is nothing more to be read
                self._readers += 1
                native, seen = self.native, self.number
            message, is_message = None, False
            try:
                message = next(native)
                is_message = True
            except StopIteration:
                pass
            except grpc.RpcError:
                pass
            finally:
                answers = self._has_read(seen, is_message=is_message)
            if answers:
                return message, native
        self._raise_end()
        raise StopIteration

    def _is_readable(self, seen: int) -> bool:
        """Is there an attempt that was not read, or will there never be one?"""
        return self.ended or (self.native is not None and self.number > seen)

    def _has_read(self, number: int, *, is_message: bool) -> bool:
        """One reader is back; True: its message is the call's first."""
        answers = is_message and self.driver.commit(number)
        if answers and self._replay is not None:
            self._replay.release()
        with self.changed:
            self._readers -= 1
            kept_back = None
            if not self._readers:
                kept_back, self._kept_back = self._kept_back, None
        if kept_back is not None:
            self.driver.done(*kept_back)
        return answers or (is_message and self._was_only_late(number))

    def _was_only_late(self, number: int) -> bool:
        """Did the call end well before its message was taken? Then it is its answer."""
        if not self.ended or self.cancelled or self.number != number:
            return False
        return self.error is None and self.late is None

    def read_ended(self) -> None:
        """The native stream, which is the call's, is over: say how.

        Raises:
            Ended: it did not end well.
        """
        self.wait()
        self._raise_end()

    def _raise_end(self) -> None:
        error = self.error
        if error is not None:
            raise error
        if self.cancelled or self.late is not None:
            raise Ended
        if self.native is not None and self.native.code() is not grpc.StatusCode.OK:
            raise Ended

    def initial_metadata(self) -> Any:
        """Block for the headers of the attempt that counts.

        Some that were shown cannot be taken back: the attempt is the last then.
        """
        seen = 0
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self._is_readable(seen))  # noqa: B023 - at once
                native, number, ended = self.native, self.number, self.ended
            if ended and self.cancelled:  # headers that had come are still told
                state = getattr(native, "_state", None)
                return getattr(state, "initial_metadata", None) or ()
            if ended or native is None:
                return self.status("initial_metadata", ())
            found = native.initial_metadata()
            if found and self.driver.commit(number, answered=False):
                if self._replay is not None:
                    self._replay.release()
                return found
            if not found and not native.done():
                return found
            seen = number  # nothing came: another attempt may follow

    # -- the driver's side -------------------------------------------------------

    def _start(self, command: Any) -> None:
        super()._start(command)
        with self.changed:
            self.changed.notify_all()

    def _done(self, number: int, outcome: Outcome) -> None:
        with self.changed:
            if self._readers:
                self._kept_back = (number, outcome)
                return
        self.driver.done(number, outcome)

    def _outcome(self, sending: Sending, native: Any, elapsed_s: float) -> Outcome:
        late = self.late
        if late is not None:
            return TIMED_OUT._replace(message=late.details())
        return super()._outcome(sending, native, elapsed_s)

    def _is_empty(self, native: Any) -> bool:
        return False  # a stream may be

    def _end(self) -> bool:
        if self.watch is not None:
            self.watch.close()
        return super()._end()

    def _idle(self) -> None:
        """Nobody sent anything for too long: the stream ends as late."""
        limit_s = self._policy.idle_timeout_s
        self.late = TimedOut(f"idle timeout: no message for {limit_s:g} s")
        native = self.native
        if native is not None:
            native.cancel()

    def _limit_passed(self) -> str:
        policy = self._policy
        first_s, attempt_s = policy.first_message_timeout_s, policy.attempt_timeout_s
        name, limit_s = "attempt timeout", attempt_s
        if first_s is not None and (attempt_s is None or first_s <= attempt_s):
            name, limit_s = "first message timeout", first_s
        return f"{name}: no message within {limit_s:g} s"


class Ended(Exception):
    """The call ended with the status that its handle tells."""


class ResponseStream(CallFuture):
    """The handle of a call with a streamed answer, and its error if it fails.

    As grpcio's own in every method. Safe to share between threads.
    """

    _flight: StreamFlight

    def __init__(self, flight: StreamFlight) -> None:
        super().__init__(flight)
        self._native: Any = None
        self._watch = flight.watch

    def __iter__(self) -> ResponseStream:
        return self

    def __next__(self) -> Any:
        """Block for the next message.

        Raises:
            StopIteration: there is none any more.
            grpc.RpcError: this object, or `GrpcRejected`.
        """
        native, watch = self._native, self._watch
        if watch is not None:
            return self._watched(watch)
        if native is None:
            return self._first()
        try:
            return next(native)
        except grpc.RpcError:
            return self._fail()

    def next(self) -> Any:
        """As `__next__`, which grpcio's streams call by this name, too."""
        return self.__next__()

    def _watched(self, watch: IdleWatch) -> Any:
        if self._native is None:
            return self._first()
        watch.begin()
        try:
            message = next(self._native)
        except grpc.RpcError:
            return self._fail()
        finally:
            watch.end()
        return message

    def _first(self) -> Any:
        try:
            message, self._native = self._flight.read_first()
        except Ended:
            raise self from None
        return message

    def _fail(self) -> Any:
        try:
            self._flight.read_ended()
        except Ended:
            raise self from None
        raise StopIteration

    def initial_metadata(self) -> Any:
        """Block for the server's initial metadata."""
        return self._flight.initial_metadata()
