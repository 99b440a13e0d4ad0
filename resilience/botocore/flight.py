"""One call under way: what happened natively, told to the engine, and its answers.

A flight belongs to one thread. Nested calls (CreateSession, HeadBucket of a redirect,
DescribeEndpoints, STS) are flights of their own; `current` names the innermost.
"""

from binascii import crc32
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from botocore import endpoint as host

from resilience.core.command import Finish, StartAttempt
from resilience.core.outcome import OK, Outcome
from resilience.core.target import Facts
from resilience.drivers.blocking import drive
from resilience.drivers.host import Answer, HostLoop
from resilience.drivers.waiting import block
from resilience.report import attach, of_call

from .emitter import Handler
from .extract import from_exception, recovered
from .given_up import mark
from .intents_applied import Applied
from .operation import Bound, Operation
from .rejected import BotocoreRejected, rejected
from .remedies import remedy
from .response import CHECKSUM, is_hop, is_rewindable, outcome_of, with_invocation
from .timeouts import READ, Limit, set_timeout, streams
from .tracing import Trace
from .verify import Finding, Steps, run
from .verify_flight import UNVERIFIABLE, Lookout
from .verify_hints import with_ways


if TYPE_CHECKING:
    from .guard import Guard

current: ContextVar["Flight | None"] = ContextVar("resilience_flight", default=None)
"""The call that is under way on this thread or task; None: none, or it is not ours."""


class Flight:
    """One call from its arrival to its end. Owned by one thread."""

    # Most calls are healthy and never set these: a default costs them nothing.
    lookout: Lookout | None = None
    """Looks whether a keyed write is there; None: the call is none."""
    _applied: Applied | None = None
    _context: MutableMapping[str, Any] | None = None
    _base_read: Any = None
    sent = False
    """Did an attempt get as far as being sent?"""
    _on_wire = False
    _wakes_later = False
    _start: StartAttempt | None = None
    _error: Exception | None = None
    _response: Any = None

    def __init__(
        self,
        guard: "Guard",
        operation: Operation,
        bound: Bound,
        params: Mapping[str, Any],
        *,
        facts: Facts,
        applied: Applied | None = None,
    ) -> None:
        self.guard = guard
        self._bound = bound
        self._operation = operation
        self._params = params
        self._facts = facts
        self.acts = bound.acts
        """May it change anything, or only look?"""
        self.owns_retries = bound.owns_retries
        """Does the engine decide about repeats, and botocore's handlers keep still?"""
        self.limit = Limit(bound.engine.now)
        """By when its sockets must be done; renewed for each attempt."""
        if applied is not None:
            self._applied = applied
            if applied.write is not None:
                method = bound.binding.target.full_method
                self.lookout = Lookout(applied.write, method, self._look)
        self._begin()

    def _begin(self) -> None:
        engine = self._bound.engine
        self._call = engine.new_call(self._bound.binding, self._facts)
        self._loop = HostLoop(self._call, engine)
        if self.lookout is not None:
            self.lookout.follow(self._loop)
        tracing = self._bound.tracing
        self.trace = None if tracing is None else Trace(tracing, self._call)

    # -- from outside: arrival and end -------------------------------------------

    async def _arrive(self, answer: Answer) -> None:
        """The first attempt may start once what *answer* asks for is done.

        Raises:
            BotocoreRejected: refused; nothing was sent.
        """
        finish = await self._settle(answer)
        if finish is not None and finish.rejection is not None:
            raise rejected(finish.rejection)
        if self.lookout is not None:
            await self.lookout.first()

    # What waits is written as coroutines, for asyncio overrides these three; here they
    # block and never suspend.

    async def _look(self, steps: Steps) -> Finding:
        """Read what is there, within the time that the call has left."""
        deadline = self._call.deadline_at
        return run(steps, lambda name, params: self.guard.read(name, params, deadline))

    async def _pause(self, seconds: float) -> None:
        """Wait as the engine says."""
        engine, waiter = self._bound.engine, self._call.waiter
        if waiter is None:
            engine.sleep(seconds)
        else:
            block(waiter, seconds, engine)

    async def _host_pause(self, seconds: float, event: dict[str, Any]) -> None:
        """Wait as botocore would."""
        host.time.sleep(seconds)

    async def _settle(self, answer: Answer) -> Finish | None:
        """Wait as told, until an attempt may start; the end instead, if it comes."""
        while answer.wait_s is not None:
            await self._pause(answer.wait_s)
            answer = self._loop.woke()
        self._start = answer.start
        return answer.finish

    def succeeded(self, answer: object = None) -> None:
        """The caller gets *answer*."""
        start = self._start
        if start is not None:
            outcome = OK if start.number == 1 else recovered(answer)
            self._loop.done(start.number, outcome)
        if self.lookout is not None:
            self.lookout.write.succeeded(answer)

    def failed(self, error: Exception) -> None:
        """The caller gets *error*: close the attempt and say what happened."""
        start, self._start = self._start, None
        if start is not None:
            outcome = with_invocation(self._outcome_from(error), self._context)
            self._loop.done(start.number, outcome)
        self.gone()
        ended, applied = self._call.ended, self._applied
        if applied is not None and ended is not None and not ended.ambiguous:
            applied.forget()
        self._attach(error)

    def _outcome_of(self, event: Mapping[str, Any]) -> Outcome | None:
        """What an attempt came to; None: its answer is healthy."""
        return outcome_of(event)

    def _outcome_from(self, error: Exception) -> Outcome:
        """What *error*, which came out of the call, says about its attempt."""
        return from_exception(error, sent=self.sent, model=self._operation.model)

    @property
    def deadline_at(self) -> float | None:
        """When the call must have ended, once it has arrived; None: never."""
        return self._call.deadline_at

    def gone(self) -> None:
        """Whatever happened, the call is over: permits go back."""
        limit = self.limit
        if not limit.kept:
            limit.at = None  # as `release` does, but for its frame
        if self.trace is not None:
            self.trace.over()
        if self._loop.finished is None or self._loop.held:
            self._loop.gone()

    def _attach(self, error: BaseException) -> None:
        ended = self._call.ended
        if ended is None or self._bound.binding.mode != "enforce":
            return
        retry_after = getattr(error, "retry_after_s", None)
        known = "" if self.lookout is None else self.lookout.hint()
        why = self._operation.why(self._params)
        hint = with_ways(remedy(ended, why), ended, known)
        attach(error, of_call(self._call, retry_after, hint))

    # -- from botocore's events --------------------------------------------------

    def before_send(self, context: MutableMapping[str, Any]) -> None:
        """An attempt is signed and goes out next.

        Raises:
            BotocoreRejected: the time was over before the first attempt was sent.
            Exception: the last real error, when it was over before a later one.
        """
        self._on_wire = True
        if self._context is None:
            self._context = context
            self._base_read = context.get(READ)
        if self.lookout is not None and self.lookout.answer is not None:
            self.limit.at = None
            return
        if self._wakes_later:
            self._wakes_later = False
            self._start = self._loop.woke().start
        start = self._start
        if start is None:
            self.sent = True
            return
        limit = self.limit
        limit.at = None
        left = start.timeout_s
        if left is not None:
            # What is left now: signing may have taken its time.
            now, deadline = limit.now(), self._call.deadline_at
            end = now + left
            if deadline is not None and deadline < end:
                left, end = deadline - now, deadline
                if left <= 0:
                    self._out_of_time(start)
            limit.at = end
            guard, own_s, base = self.guard, self._bound.silence_s, self._base_read
            usual_s, number = guard.read_timeout_s, start.number
            # Where silence is bounded as ever there is nothing to say.
            if (
                number > 1
                or not guard.is_hard
                or base is not None
                or (own_s and usual_s and own_s > usual_s)
            ):
                # Sockets that keep to the limit need no help; but the `ttl=` of a
                # repeat is made of this. An answer's body is read after the call.
                no_less = number == 1 or streams(self._operation.model)
                set_timeout(
                    context,
                    left,
                    configured_s=usual_s if base is None else base,
                    own_s=own_s,
                    only_longer=guard.is_hard and no_less,
                )
        self.sent = True
        if self.owns_retries and start.number > 1 and "retries" in context:
            context["retries"]["max"] = self._max_attempts

    def _out_of_time(self, start: StartAttempt) -> None:
        """The call's time ended while the attempt was being made ready."""
        self._start = None
        text = "the deadline passed before the request was signed"
        late = Outcome("DEADLINE_EXCEEDED", "local", "no", message=text)
        self._loop.done(start.number, late)
        raise self.last_error() or self.refused(text)

    def last_error(self) -> Exception | None:
        """The last real error of an attempt, as the caller would get it."""
        if self._error is None and self._response is not None:
            _, parsed = self._response
            return self.guard.client_error(parsed, self._operation.model.name)
        return self._error

    def refused(self, text: str) -> BotocoreRejected:
        """The error of a call whose time passed, says *text*, before it was sent."""
        binding = self._bound.binding
        return BotocoreRejected(
            f"{binding.target.full_method}: {text}; nothing was sent",
            reason="deadline",
            scope=binding.scope.key,
        )

    def is_well(self, event: Mapping[str, Any]) -> bool:
        """Is it an answer that asks for nothing, seen without waiting?"""
        if not self.owns_retries:
            return False
        try:
            # As `outcome_of` does, without a frame for each step.
            http, parsed = response = event["response"]
            told = parsed.get("ResponseMetadata")
            if http.status_code >= 300 or (
                told and told.get("HTTPStatusCode", 200) >= 300
            ):
                return False
            if event["operation"].service_model.service_name == "dynamodb":
                expected = http.headers.get(CHECKSUM)
                if expected and crc32(http._content) & 0xFFFFFFFF != int(expected):
                    return False
        except (AttributeError, LookupError, TypeError, ValueError):
            return False  # no answer, or one that must be waited for
        self._on_wire = False
        if self.trace is not None:
            self.trace.answered(response)
        return True

    def needs_retry(self, native: Handler | None, event: dict[str, Any]) -> Any:
        """Answer botocore: a number to try again, None to leave it to others."""
        if self.owns_retries:
            outcome = outcome_of(event)
            if outcome is None or is_hop(event):
                # Healthy, or a redirect that another handler may follow: the attempt
                # goes on, and is closed when the call ends.
                return None
            return drive(self._decide(outcome, event))
        answer = None if native is None else native(**event)
        if self.lookout is None and (answer is None or answer is False):
            return answer
        return drive(self._weigh(answer, event))

    async def _weigh(self, answer: Any, event: dict[str, Any]) -> Any:
        """A handler of botocore's gave *answer*, and what it wants may be vetoed."""
        lookout, is_last = self.lookout, answer is None or answer is False
        if lookout is not None and is_rewindable(event["request_dict"]):
            outcome = self._outcome_of(event)
            if outcome and await lookout.failed(outcome, event, is_last=is_last):
                return 0
        if answer is None or answer is False:
            return answer
        wanted = await self._host_wants(float(answer), answer, event)
        if wanted is None:
            return await self._at_end()
        return wanted if await self._may_repeat(event) else None

    async def _decide(self, outcome: Outcome, event: dict[str, Any]) -> Any:
        """The engine owns the repeats of this call, an attempt of which failed."""
        self._remember(event)
        start = await self._resumed()
        if start is None:
            return None
        can_repeat = is_rewindable(event["request_dict"])
        lookout = self.lookout
        # An answer that is found takes the way of a repeat.
        if lookout is not None and can_repeat:
            is_last = start.number >= self._max_attempts
            if await lookout.failed(outcome, event, is_last=is_last):
                return 0
            outcome = lookout.restated(outcome)
        answer = self._loop.done(start.number, outcome)
        self._start = None
        if answer.wait_s is not None and not can_repeat:
            self._loop.gone("the body cannot be sent again")
            return None
        finish = await self._settle(answer)
        if finish is not None:
            mark(event, finish.reason, self._max_attempts)
            return await self._at_end() if can_repeat else None
        return 0 if await self._may_repeat(event) else None

    async def _at_end(self) -> int | None:
        """No attempt is left: 0 when the write is there all the same."""
        return 0 if self.lookout is not None and await self.lookout.ended() else None

    async def _may_repeat(self, event: dict[str, Any]) -> bool:
        """Is the next attempt harmless? If that cannot be told it is not made."""
        lookout = self.lookout
        if lookout is None or await lookout.repeats(event["request_dict"]):
            return True
        start, self._start = self._start, None
        if start is not None:
            self._loop.done(start.number, UNVERIFIABLE)
        return False

    async def _host_wants(
        self, wait_s: float, answer: Any, event: dict[str, Any]
    ) -> Any:
        """Weigh the repeat that botocore's own handler wants."""
        outcome = self._outcome_of(event)
        start = self._start
        if outcome is None or start is None:
            return answer
        self._remember(event)
        engine_says = self._loop.done(start.number, outcome, wait_s)
        self._start = None
        if self._bound.binding.mode != "enforce":
            # Observing: botocore sleeps, and the wait ends when the next request goes.
            self._wakes_later = engine_says.finish is None
            return answer
        if engine_says.wait_s is None:
            return None
        await self._host_pause(wait_s, event)
        finish = await self._settle(self._loop.woke())
        return None if finish is not None else 0

    async def _resumed(self) -> StartAttempt | None:
        """The attempt that ended; a new call when somebody sent again after the end."""
        if self._start is None and self._loop.finished is not None:
            self._begin()
            await self._settle(self._loop.arrive())
        return self._start

    def _remember(self, event: dict[str, Any]) -> None:
        self._error, self._response = event["caught_exception"], event["response"]

    @property
    def _max_attempts(self) -> int:
        retry = self._bound.binding.policy.retry
        return 1 if retry is None else retry.max_attempts
