"""What looks on while a body is read: time, progress, and where it goes on after a cut.

Between two steps nothing is timed: a slow reader never counts. A step must bring what
it was asked for within a window, or the connection counts as stalled and the rest is
asked for on another one; where that could not be repeated, only silence and deadline
end it, as natively.
"""

from typing import TYPE_CHECKING, Any

from urllib3 import exceptions as urllib3_errors
from urllib3.response import HTTPResponse

from resilience.context import ambient_deadline, deadline_at, inbound
from resilience.drivers.blocking import drive
from resilience.report import attach, report

from .duration import SLOWEST_BYTES_PER_S
from .flight import Flight
from .resume import ObjectChanged, Resume, cut_of
from .sockets import Bounded, bind
from .timeouts import SHORTEST_S, Limit


if TYPE_CHECKING:
    from .transfer import Task

LEAST_PIECE = 4096
FIRST_PIECE = 256 * 1024
MOST_PIECE = 4 << 20
"""What is read in one step, and so what a cut can cost: the part of a step that has
come is lost when the connection breaks in it. Smaller ones wake the reader so often
that a big body costs 1.1 to 1.2 times its CPU; none is bigger than what came before."""
QUICK_S = 0.05
SLOW_S = 1.0
"""A step that is quicker makes the next one bigger, one that is slower smaller: then
the window that a step gets asks for little."""
NEVER = float("inf")
ARMED = 0.25
"""For this part of a window its end is left where it is: to move it costs time."""
WINDOW = 2.0
"""A step may take this many times the silence that is allowed, and what its bytes take
on the slowest link. Steps on a slow connection are of 4 KiB: what brings less in that
time does not get on."""
MOVED = (
    "_connection",
    "_fp",
    "_original_response",
    "_pool",
    "_sock_shutdown",
    "chunk_left",
    "length_remaining",
)
"""What of a response belongs to its connection; the rest is what the reader sees."""


class Watch:
    """What looks on while one body is read. Owned by its reader."""

    __slots__ = (
        "_ambient",
        "_arm_at",
        "_began",
        "_came",
        "_deadline_at",
        "_is_hard",
        "_is_shortened",
        "_limit",
        "_most",
        "_now",
        "_served",
        "_silence_s",
        "_size",
        "_sock",
        "_sock_s",
        "_window_s",
        "error",
        "is_plain",
        "piece",
        "resume",
        "task",
    )

    def __init__(
        self,
        flight: Flight,
        raw: Any,
        resume: Resume | None,
        task: "Task | None",
        silence_s: float | None,
    ) -> None:
        self.resume = resume
        """None: the body ends with its connection."""
        self.task = task
        """What of s3transfer reads it; None: nothing does."""
        self.piece = FIRST_PIECE
        """How much is read in one step."""
        self.error: Exception | None = None
        """What ended the body before it was whole, with its report."""
        self.is_plain = raw.length_remaining is not None and not raw.decode_content
        """Are its bytes those of the wire, and as many as announced?"""
        self._now = flight.limit.now
        self._is_hard = self._is_shortened = False
        self._deadline_at = flight.deadline_at
        self._size: int | None = raw.length_remaining
        self._silence_s = silence_s
        self._sock: Any = None
        self._sock_s: float | None = None
        self._ambient: float | None = None
        self._arm_at = self._began = 0.0
        served = inbound.get()
        if served is not None and served.deadline_at != self._deadline_at:
            served = None
        self._served = served
        self._limit = flight.limit
        self._take(raw, flight.limit)

    def _take(self, raw: Any, limit: Limit) -> None:
        """Look on at *raw*'s connection from here on."""
        limit.kept = True
        limit.at = self._deadline_at
        self._limit = limit
        self._arm_at = 0.0
        resume, silence_s = self.resume, self._silence_s
        asked_s = None if self._sock is None else self._sock.gettimeout()
        # Where sockets are not ours, their timeouts are set at each step instead.
        changed = self._is_hard and self._sock is not None and asked_s != self._sock_s
        self._sock = sock = _socket_of(raw)
        # One that was opened without any limit knows of none yet.
        if isinstance(sock, Bounded):  # as bind does, but for its frame
            sock.limit, self._is_hard = limit, True
        else:
            self._is_hard = sock is not None and bind(sock, limit)
        if sock is not None:
            if changed:
                sock.settimeout(asked_s)  # as the reader has set it meanwhile
            elif silence_s is not None:
                sock.settimeout(silence_s)
            silence_s = self._sock_s = sock.gettimeout()
        self._window_s = None
        self._came, self._most = 0, MOST_PIECE
        if resume is not None and silence_s and not resume.is_last:
            self._window_s = window_s = silence_s * WINDOW
            # What a step's bytes may take must not outweigh the window itself.
            in_window = int(window_s * SLOWEST_BYTES_PER_S)
            self._most = min(MOST_PIECE, max(FIRST_PIECE, in_window))

    def begin(self) -> None:
        """A step of reading begins."""
        now = self._now()
        if now >= self._arm_at or deadline_at.get() is not self._ambient:
            self._arm(now)
        self._began = now

    def _arm(self, now: float) -> None:
        """Bound the steps of the next moments; each keeps most of its window."""
        self._ambient = deadline_at.get()
        end = self._end()
        window_s = self._window_s
        self._arm_at = NEVER if window_s is None else now + window_s * ARMED
        if self._served is not None:
            self._arm_at = now  # its caller may have his answer by the next step
        if self._is_hard:
            if window_s is not None:
                latest = now + window_s + self.piece / SLOWEST_BYTES_PER_S
                end = latest if end is None else min(end, latest)
            self._limit.at = end
        elif self._sock is not None and end is not None:
            self._arm_at = now
            left = max(SHORTEST_S, end - now)
            if self._sock_s is not None:
                left = min(left, self._sock_s)
            self._sock.settimeout(left)
            self._is_shortened = True
        elif self._is_shortened and self._sock is not None:
            self._sock.settimeout(self._sock_s)
            self._is_shortened = False

    def _end(self) -> float | None:
        """By when all of the body must have come."""
        end = self._deadline_at
        ambient = None if deadline_at.get() is None else ambient_deadline()
        if self._served is not None and self._served.has_ended:
            end = None  # what a handler left behind is bound no more
        return ambient if end is None or (ambient and ambient < end) else end

    def done(self) -> None:
        """The step brought what it was to bring."""
        took, piece = self._now() - self._began, self.piece
        self._came += piece
        if took < QUICK_S:
            self.piece = min(self._most, max(piece, min(piece * 2, self._came)))
        elif took > SLOW_S:
            self.piece = max(LEAST_PIECE, piece // 4)
        if self.piece != piece:
            self._arm_at = 0.0

    def goes_on(self, raw: Any, error: Exception | None) -> bool:
        """The connection broke (*error*) or ended early (None): is there another?

        Raises:
            ObjectChanged: the object is not the same any more.
        """
        resume, size = self.resume, self._size
        left = raw.length_remaining
        if resume is None or size is None or left is None or self.error is not None:
            return False
        position = size - left
        code = "IncompleteReadError" if error is None else "ResponseStreamingError"
        timed_out = isinstance(error, urllib3_errors.ReadTimeoutError)
        elapsed_s = self._now() - self._began
        cut = cut_of(
            position, size, timed_out=timed_out, code=code, elapsed_s=elapsed_s
        )
        self.error = error or urllib3_errors.ProtocolError(cut.message)
        try:
            found = drive(resume.go_on(position, cut, self._end(), self.error))
        except ObjectChanged as changed:
            self.error = changed
            raise
        if found is None:
            return False
        answer, limit = found
        other = answer["Body"]._raw_stream
        if not isinstance(other, HTTPResponse) or other.length_remaining != left:
            answer["Body"].close()
            return False
        _move(other, raw)
        self.error = None
        self.piece = LEAST_PIECE
        self._take(raw, limit)
        return True

    def explain(self, error: Exception) -> Exception:
        """The error that the reader gets where botocore raises *error*."""
        found = self.error
        if isinstance(found, ObjectChanged):
            return found
        if found is not None:
            made = report(found)
            if made is not None and error is not found:
                attach(error, made)
            resume = self.resume
            if resume is not None:
                if resume.error is not None and error.__cause__ is None:
                    error.__cause__ = resume.error
                if made is not None and self.task is not None:
                    self.task.spend(resume.asked, error)
        return error


def _move(source: Any, target: Any) -> None:
    """Give *target* the connection of *source*, which has none afterwards."""
    there, here = vars(source), vars(target)
    for name in MOVED:
        if name in there:
            here[name] = there[name]
    for name in MOVED[:4]:
        there[name] = None


def _socket_of(raw: Any) -> Any:
    """The socket beneath a response, the way botocore finds it; None: not found."""
    try:
        return raw._fp.fp.raw._sock
    except AttributeError:
        return None
