"""Calls that may be answered elsewhere: by another region, then by a fallback.

What waits is written as coroutines: the blocking client drives them on its thread.
Stands around the calls of an operation whose policy names either, and only there. The
call goes to its own region first, each time that region's breaker admits it; what
follows when it was not answered is decided in `failover.py`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from resilience.context import ambient_key, deadline_at
from resilience.core.policy import FailoverPolicy, FailoverRegion
from resilience.core.record import CallEnded, Decided, Diverted
from resilience.core.unanswered import is_unanswered
from resilience.drivers.blocking import drive
from resilience.fallback import FailedCall
from resilience.report import amend, report

from . import failover as rules
from .failover_clients import NoSibling, Siblings
from .failover_reads import only_reads
from .failover_tokens import Issued, Members, carried, members_of
from .flight import Flight
from .rejected import BotocoreRejected
from .response import is_rewindable


if TYPE_CHECKING:
    from .failover_awaited import AioRecourse
    from .guard import Guard, Native
    from .operation import Bound

LEAST_S = 0.001
"""Less than this is no time to ask anybody."""


class Elsewhere:
    """What one guard keeps for its failovers. Safe to share between threads."""

    def __init__(self) -> None:
        self.siblings = Siblings()
        self.issued = Issued()
        self.awaited: Any = None
        """Siblings whose calls are awaited; None: there were none yet."""
        self._members: dict[str, Members] = {}
        self._said: set[str] = set()

    def members(self, client: Any, name: str) -> Members:
        """The page tokens of operation *name*."""
        found = self._members.get(name)
        if found is None:
            found = self._members[name] = members_of(client, name)
        return found

    def is_new(self, text: str) -> bool:
        """Was *text* not said before?"""
        if text in self._said or len(self._said) > 1000:
            return False
        self._said.add(text)
        return True


def elsewhere_of(guard: "Guard") -> Elsewhere:
    """What *guard* keeps, made when it is first asked for."""
    found: Elsewhere | None = guard.elsewhere
    if found is None:
        found = guard.elsewhere = Elsewhere()
    return found


class Asked(NamedTuple):
    """A call as it was before anybody touched its parameters. Immutable."""

    name: str
    params: Mapping[str, Any]
    body: Any = None
    """Its request body, where the operation streams one."""
    position: int | None = None
    """Where in *body* it began; None: it cannot be sought."""
    key: str | None = None
    """The caller's idempotency key, of a write; None: it has none."""

    def rewind(self) -> bool:
        """Put the body back to where it began; False: it cannot be."""
        if self.body is None or isinstance(self.body, (bytes, bytearray, str)):
            return True
        if self.position is None or not is_rewindable({"body": self.body}):
            return False
        try:
            self.body.seek(self.position)
        except (OSError, ValueError):  # closed
            return False
        return True


class Recourse:
    """Who else may answer the calls of one operation. Safe to share between threads."""

    def __init__(self, bound: "Bound", model: Any) -> None:
        self._bound = bound
        self._model = model
        self._awaited: AioRecourse | None = None
        policy = bound.binding.policy
        self._failover = policy.failover
        self._fallback = policy.fallback
        self._engine = bound.engine
        target = bound.binding.target
        self._region = target.dimension("region")
        self._reads = only_reads(target.service, target.method, model)
        self._payload = ""
        if model.has_streaming_input:
            self._payload = str(model.input_shape.serialization.get("payload", ""))

    def call(
        self, guard: "Guard", name: str, params: Mapping[str, Any], native: "Native"
    ) -> Any:
        """Make one call, and ask elsewhere when it was not answered.

        Raises:
            Exception: nobody answered; the last real error.
        """
        asked = self.asked(name, params)
        policy = self._failover
        if policy is not None and guard.elsewhere is not None:
            place = self.begun_at(guard, policy, asked)
            if place is not None:
                return drive(self.go_on(guard, place, asked))
        flown: list[Flight] = []
        try:
            answer = guard.call(name, params, native, flown)
        except Exception as error:
            if not self.is_open(guard, flown, asked):
                raise
            return drive(self.instead(guard, flown[0], error, asked))
        self.pin(guard, asked, self._region)
        return answer

    @property
    def awaited(self) -> "AioRecourse":
        """The same for clients whose calls are awaited."""
        made = self._awaited
        if made is None:
            from .failover_awaited import AioRecourse  # only there, it is there

            made = self._awaited = AioRecourse(self._bound, self._model)
        return made

    def is_open(self, guard: "Guard", flown: Sequence[Flight], asked: Asked) -> bool:
        """Did the call of *flown* end without an answer?"""
        ended = flown[0]._call.ended if flown else None
        if ended is None:
            return False
        if ended.ambiguous:
            self.pin(guard, asked, self._region)
        return is_unanswered(ended)

    def pin(self, guard: "Guard", asked: Asked, region: str) -> None:
        """Remember that *region* may have executed a write under the caller's key."""
        if asked.key is not None and self._failover is not None:
            elsewhere_of(guard).issued.pin(asked.name, asked.key, region)

    def asked(self, name: str, params: Mapping[str, Any]) -> Asked:
        """A call before anybody touches its parameters."""
        body = params.get(self._payload) if self._payload else None
        position = None
        if body is not None and hasattr(body, "tell"):
            try:
                position = body.tell()
            except (OSError, ValueError):
                position = None
        key = None if self._reads else ambient_key.get()
        return Asked(name, dict(params), body, position, key)

    # -- failover ----------------------------------------------------------------

    def begun_at(
        self, guard: "Guard", policy: FailoverPolicy, asked: Asked
    ) -> FailoverRegion | None:
        """The region that gave what the call carries; None: its own, or nobody."""
        kept = elsewhere_of(guard)
        region = ""
        if asked.key is not None:
            region = kept.issued.pinned(asked.name, asked.key)
        if not region and kept.issued:
            members = kept.members(guard._client(), asked.name)
            region = kept.issued.region_of(asked.params, members)
        return next((one for one in policy.regions if one.region == region), None)

    async def go_on(self, guard: "Guard", place: FailoverRegion, asked: Asked) -> Any:
        """Send what *place* began to *place*: nobody else would understand it.

        Raises:
            BotocoreRejected: there is no client for it any more.
            Exception: what came of it.
        """
        kept = elsewhere_of(guard)
        try:
            client = await self._client(guard, place, None)
        except NoSibling as error:
            text = f"{asked.name} was begun in {place.region}: {error}"
            raise BotocoreRejected(text, reason="failover", scope="") from None
        params = rules.renamed(asked.params, place.rename)
        answer = await self._reach(client, asked.name, params)
        kept.issued.note(answer, kept.members(client, asked.name), place.region)
        rules.mark_begun(answer, place, self._region)
        return answer

    async def instead(
        self, guard: "Guard", flight: Flight, error: Exception, asked: Asked
    ) -> Any:
        """What the caller of *flight*, which was not answered, gets.

        Raises:
            Exception: nobody answered; the last real error.
        """
        ended = cast("CallEnded", flight._call.ended)
        if self._failover is not None:
            history = flight._call.history
            home = rules.Home(ended, history, error, self._region, self._reads)
            end = await self._safely(guard, flight, home, self._failover, asked)
            if end.place is not None:
                return end.answer
            error = end.error or error
            if end.is_final:
                raise error
        if not self._fallback:
            raise error
        target = ended.target
        name = target.full_method
        failed = FailedCall(name=name, target=target, error=error, request=asked.params)
        return await self._fall_back(failed, ended)

    async def _safely(
        self,
        guard: "Guard",
        flight: Flight,
        home: rules.Home,
        policy: FailoverPolicy,
        asked: Asked,
    ) -> rules.End:
        """As `_elsewhere`: a fault of ours must not hide the call's own error."""
        try:
            return await self._elsewhere(guard, flight, home, policy, asked)
        except Exception as fault:  # noqa: BLE001 - whatever it is
            guard.say(
                "failover", f"{fault!r} in a failover; the call's error is raised"
            )
            return rules.End(error=home.error)

    # What differs between threads and tasks.

    async def _client(
        self, guard: "Guard", place: FailoverRegion, left_s: float | None
    ) -> Any:
        siblings = elsewhere_of(guard).siblings
        return siblings.of(guard, place, left_s, self._engine.now())

    async def _reach(self, client: Any, name: str, params: Mapping[str, Any]) -> Any:
        return client._make_api_call(name, params)

    async def _fall_back(self, failed: FailedCall, ended: CallEnded) -> Any:
        return self._engine.fallback.answer(self._fallback, failed, ended)

    async def _elsewhere(
        self,
        guard: "Guard",
        flight: Flight,
        home: rules.Home,
        policy: FailoverPolicy,
        asked: Asked,
    ) -> rules.End:
        """Ask the other regions, within what is left of the call's time."""
        kept = elsewhere_of(guard)
        client = guard._client()
        members = kept.members(client, asked.name)
        home = home._replace(
            names=tuple({name: 0 for name, _ in carried(asked.params, members)}),
            is_there=self._is_home(kept, asked),
            is_spent=bool(home.history) and not asked.rewind(),
        )
        steps = rules.elsewhere(home, policy, asked.params)
        try:
            wanted = next(steps)
            while True:
                if home.ended.mode != "enforce":
                    self._would(home.ended, wanted.region)
                    return rules.End(error=home.error)
                reply = await self._ask(guard, flight, home, wanted, asked)
                found = reply.report
                if reply.error is None or (found is not None and found.ambiguous):
                    self.pin(guard, asked, wanted.region.region)
                if reply.error is None:
                    kept.issued.note(reply.answer, members, wanted.region.region)
                    rules.mark(reply.answer, wanted.region, home)
                wanted = steps.send(reply)
        except StopIteration as done:
            end: rules.End = done.value
        if end.error is not None and home.ended.mode == "enforce":
            amend(end.error, *end.notes)
        return end

    def _is_home(self, kept: Elsewhere, asked: Asked) -> bool:
        """May an earlier call with the same key have been executed at home?"""
        if asked.key is None:
            return False
        return kept.issued.pinned(asked.name, asked.key) == self._region

    async def _ask(
        self,
        guard: "Guard",
        flight: Flight,
        home: rules.Home,
        wanted: rules.Ask,
        asked: Asked,
    ) -> rules.Reply:
        began = self._engine.now()
        ends_at = flight.deadline_at
        left_s = None if ends_at is None else ends_at - began
        if left_s is not None and left_s < LEAST_S:
            return rules.unasked(home, "no time was left")
        kept = elsewhere_of(guard)
        try:
            client = await self._client(guard, wanted.region, left_s)
        except NoSibling as error:
            text = f"no failover to {wanted.region.region}: {error}"
            if kept.is_new(text):
                guard.say("failover", text)
            return rules.unasked(home, str(error))
        if not asked.rewind():
            return rules.unasked(home, "its body cannot be sent again")
        token = deadline_at.set(deadline_at.get() if ends_at is None else ends_at)
        try:
            answer = await self._reach(client, asked.name, wanted.params)
            reply = rules.Reply(answer)
        except Exception as error:  # noqa: BLE001 - judged by the rules, then raised
            reply = rules.said(error, report(error))
        finally:
            deadline_at.reset(token)
        self._tell(home.ended, wanted.region, reply, began)
        return reply

    # -- records -----------------------------------------------------------------

    def _would(self, ended: CallEnded, place: FailoverRegion) -> None:
        now = self._engine.now()
        text = f"to {place.region}"
        self._engine.emit(
            (
                Decided(
                    ended.call_id,
                    ended.target,
                    "failover",
                    "retry",
                    ended.reason,
                    text,
                    0.0,
                    now,
                ),
            )
        )

    def _tell(
        self, ended: CallEnded, place: FailoverRegion, reply: rules.Reply, began: float
    ) -> None:
        now = self._engine.now()
        code = reply.code if reply.error is not None else "OK"
        self._engine.emit(
            (
                Diverted(
                    ended.call_id,
                    ended.target,
                    "failover",
                    place.region,
                    code,
                    ended.reason,
                    now - began,
                    now,
                ),
            )
        )
