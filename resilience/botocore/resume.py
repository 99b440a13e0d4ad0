"""Going on where the body of an object was cut: the same object, proven, or none.

What is asked for is the rest by `Range`, on condition of the entity tag; what comes is
taken only when range, length, tag and encoding say that it is the rest of the very same
bytes. Each time is a call of its own, whose first attempt is the body that was cut: so
attempts, backoff, retry budget, breaker and deadline are the engine's, as for any
repeat.
"""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError, ResponseStreamingError

from resilience.core.outcome import Outcome
from resilience.core.target import Facts

from .flight import Flight, current
from .operation import Bound, Operation
from .timeouts import Limit
from .worker import ThreadedFlight, in_worker


if TYPE_CHECKING:
    from .guard import Guard

FRUITFUL = 4096
"""Bytes from which on a resumed body has brought progress: what went wrong before it
counts no more. A server that cuts each one sooner is given up like any other."""
CHANGED = frozenset({"404", "412", "416", "InvalidRange", "NoSuchKey", "NoSuchVersion"})
"""Codes by which a service says that what was being read is not there any more."""
CONDITIONS = frozenset(
    {"IfMatch", "IfModifiedSince", "IfNoneMatch", "IfUnmodifiedSince"}
)
"""They held when the body began; now the entity tag alone says which bytes are meant.
"""
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
Native = Callable[[str, Mapping[str, Any]], Any]


class ObjectChanged(ClientError, ResponseStreamingError):
    """An object changed, or went away, before all of its body had come.

    Nothing of the new object is in what was read. It is the service's own error (a
    `ClientError`, `PreconditionFailed` mostly), and what a cut body raises, too.
    """

    def __init__(self, response: Mapping[str, Any], operation_name: str) -> None:
        # ClientError is next in line, and hands its text on to who takes only names.
        text = str(ClientError(response, operation_name))
        Exception.__init__(self, text)
        self.response = response
        self.operation_name = operation_name
        self.kwargs = {"error": text}


class Source(NamedTuple):
    """Which bytes a body consists of. Immutable."""

    etag: str
    """A strong one, in its quotes."""
    first: int
    """Where in the object the body begins."""
    last: int
    """Where in the object it ends, inclusive."""
    total: str
    """The object's size as the server said it; `*`: it would not say."""
    encoding: str
    version: str | None


def source_of(answer: Mapping[str, Any]) -> Source | None:
    """What the parsed *answer* of a GetObject holds; None: the rest is not provable."""
    metadata = answer.get("ResponseMetadata") or {}
    status = metadata.get("HTTPStatusCode")
    etag, length = answer.get("ETag"), answer.get("ContentLength")
    headers = metadata.get("HTTPHeaders") or {}
    if not isinstance(etag, str) or not isinstance(length, int) or length < 1:
        return None
    if not (len(etag) > 2 and etag[0] == etag[-1] == '"'):
        return None  # a weak one, or none of HTTP's
    if "transfer-encoding" in headers:
        return None
    said = _range_of(answer.get("ContentRange"), status, length)
    if said is None:
        return None
    encoding = str(answer.get("ContentEncoding") or "")
    return Source(etag, *said, encoding, answer.get("VersionId"))


def _range_of(said: object, status: object, length: int) -> tuple[int, int, str] | None:
    """First and last byte of a body in its object, and the object's size."""
    if status == 200 and said is None:
        return 0, length - 1, str(length)
    found = _RANGE.fullmatch(said) if isinstance(said, str) else None
    if status != 206 or found is None:
        return None
    first, last = int(found[1]), int(found[2])
    return (first, last, found[3]) if last - first + 1 == length else None


def rest_of(
    asked: Mapping[str, Any], source: Source, position: int, version: str | None = None
) -> dict[str, Any]:
    """The parameters that ask for the bytes of *source* from *position* on."""
    made = {key: value for key, value in asked.items() if key not in CONDITIONS}
    made.pop("PartNumber", None)  # a part is a range, and its range is known now
    made["Range"] = f"bytes={source.first + position}-{source.last}"
    made["IfMatch"] = source.etag
    if version is not None:
        made["VersionId"] = version
    return made


def is_rest(answer: Mapping[str, Any], source: Source, position: int) -> bool:
    """Does *answer* hold the bytes of *source* from *position* on, and no others?"""
    found = source_of(answer)
    return (
        found is not None
        and answer.get("ContentRange") is not None
        and (found.etag, found.encoding, found.version, found.last)
        == (source.etag, source.encoding, source.version, source.last)
        and found.first == source.first + position
        and found.total == source.total
    )


def cut_of(
    position: int, size: int, *, timed_out: bool, code: str, elapsed_s: float
) -> Outcome:
    """The outcome of the attempt whose body of *size* bytes ended after *position*."""
    return Outcome(
        "ReadTimeoutError" if timed_out else code,
        "transport",
        "maybe",
        timed_out=timed_out,
        elapsed_s=elapsed_s,
        message=f"the body ended after {position} of {size} bytes",
    )


class Resume:
    """How one body goes on after a cut. Owned by its reader."""

    def __init__(
        self,
        guard: "Guard",
        name: str,
        asked: Mapping[str, Any],
        native: Native,
        *,
        source: Source,
        max_attempts: int,
    ) -> None:
        """Keep what a later request needs.

        Args:
            guard: of the client.
            name: the operation, GetObject.
            asked: its parameters, as the caller gave them.
            native: what makes the call; it keeps the client alive.
            source: what the body consists of.
            max_attempts: of the policy, when the body began.
        """
        self.asked = asked
        self._guard = guard
        self._name = name
        self._native = native
        self._source = source
        self._max_attempts = max_attempts
        self._fruitless = 0
        self._resumed_at: int | None = None
        self.error: Exception | None = None
        """What the last try to go on ended in."""

    @property
    def is_last(self) -> bool:
        """Would another cut, without progress before it, be the end?"""
        spent = 1 + self._fruitless + (self._resumed_at is not None)
        return spent >= self._max_attempts

    async def go_on(
        self, position: int, cut: Outcome, deadline_at: float | None, error: Exception
    ) -> tuple[Mapping[str, Any], Limit] | None:
        """Ask for the rest from *position* on, waiting as the engine says.

        Args:
            position: bytes of the body that have come.
            cut: how it was cut.
            deadline_at: by when all of it must have come.
            error: what the caller gets when it does not go on; the report is put on it.

        Returns:
            The answer with the rest and the limit of its sockets; None: it is at an
            end, by the engine's word or because the answer proves nothing.

        Raises:
            ObjectChanged: it is not the same object any more.
        """
        resumed_at, self._resumed_at = self._resumed_at, position
        is_fruitless = resumed_at is not None and position - resumed_at < FRUITFUL
        self._fruitless = self._fruitless + 1 if is_fruitless else 0
        version = None
        if "VersionId" not in self.asked:
            version = self._source.version
        for wanted in (None, version):
            params = rest_of(self.asked, self._source, position, wanted)
            try:
                return await self._ask(params, position, cut, deadline_at, error)
            except ClientError as answer:
                metadata = answer.response.get("ResponseMetadata") or {}
                code = str(answer.response.get("Error", {}).get("Code"))
                if not CHANGED & {code, str(metadata.get("HTTPStatusCode"))}:
                    self.error = answer
                    return None
                if wanted is not None or version is None:
                    changed = ObjectChanged(answer.response, answer.operation_name)
                    raise changed from answer
                # The version that was being read may still be there; to name it needs
                # a permission of its own, so it is not named before it must be.
            except Exception as failed:  # noqa: BLE001 - the original error is raised
                self.error = failed
                return None
        return None

    def _bind(self) -> tuple[Operation, Bound] | None:
        """The operation under the live policy; None: nothing is ours to repeat."""
        guard = self._guard
        engine = guard.registration.engine
        operation = guard._operations.get(self._name)
        if engine is None or guard.takeover is None or operation is None:
            return None
        bound = operation.bind(engine, self.asked)
        if bound.binding.mode != "enforce" or bound.host_decides:
            return None
        return operation, bound

    async def _ask(
        self,
        params: Mapping[str, Any],
        position: int,
        cut: Outcome,
        deadline_at: float | None,
        error: Exception,
    ) -> tuple[Mapping[str, Any], Limit] | None:
        found = self._bind()
        if found is None:
            return None
        operation, bound = found
        facts: Facts = operation.facts(bound, params)
        flight = self._flight(
            operation,
            bound,
            facts._replace(deadline_at=deadline_at, previous_attempts=self._fruitless),
            params,
        )
        token = current.set(flight)
        try:
            if not await _arrive_after(flight, cut):
                flight.failed(error)
                return None
            answer = await self._call(flight, params)
        except Exception as failed:
            flight.failed(failed)
            raise
        else:
            if not is_rest(answer, self._source, position):
                await self.close(answer["Body"])
                flight.succeeded()
                return None
            flight.limit.kept = True
            flight.succeeded()
            return answer, flight.limit
        finally:
            current.reset(token)
            flight.gone()

    async def _call(self, flight: Flight, params: Mapping[str, Any]) -> Any:
        """Make the call of *flight*; blocks."""
        if isinstance(flight, ThreadedFlight):
            return in_worker(flight, self._native, self._name, params)
        return self._native(self._name, params)

    async def close(self, body: Any) -> None:
        """Close a *body* that is of no use."""
        body.close()

    def _flight(
        self, operation: Operation, bound: Bound, facts: Facts, params: Any
    ) -> Flight:
        guard = self._guard
        kind = ThreadedFlight if guard.registration.worker_threads else Flight
        return kind(
            guard,
            operation,
            bound,
            params,
            facts=facts,
        )


async def _arrive_after(flight: Flight, cut: Outcome) -> bool:
    """Let *flight* arrive with a first attempt that ended in *cut*.

    Returns:
        May another one start? Its wait is over then.
    """
    finish = await flight._settle(flight._loop.arrive())
    if finish is None and flight._start is not None:
        ended = flight._loop.done(flight._start.number, cut)
        flight._start = None
        await flight._settle(ended)
    return flight._start is not None
