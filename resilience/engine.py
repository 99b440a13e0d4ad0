"""The policy engine: policies, shared state and sinks behind every adapter.

It holds no decision of its own: it looks policies up, lends state to calls and hands
records to sinks. Everything that touches the outside (clock, files, environment,
randomness) enters the pure core through here.
"""

import hashlib
import itertools
import os
import random
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

from resilience import functions, policy
from resilience.clock import Clock, asleep, event_wait
from resilience.control import BreakerControl, ControlFile, parse_mode, weaker
from resilience.core.binding import Binding, bind
from resilience.core.call import Call
from resilience.core.draws import Draws
from resilience.core.record import Mode, Notice, Record
from resilience.core.scope import MakeRows, Scopes, scope_key
from resilience.core.target import NO_FACTS, Facts, Idempotency, Target
from resilience.drivers.timer import Timer
from resilience.fallback import Fallbacks
from resilience.live import Live
from resilience.sharing import Sharing
from resilience.telemetry.fanout import Fanout, Sink


T = TypeVar("T")
MAX_BINDINGS = 50_000


class PolicyEngine:
    """One policy over gRPC channels, boto3 sessions and plain functions.

    Make one per process and share it; all methods are safe to share between threads.
    With no file it has the built-in policy of the current edition: bounded, jittered,
    budgeted retries and a circuit breaker, and no timeout that a bare call has not.

    Args:
        sinks: where records go beside the log; see `resilience.telemetry`.
        clock: for tests; None: the machine's monotonic clock.
        seed: of jitter, for repeatable runs; None: random.
        control_file: looked at on the call path at most once a second; a line
            `mode: bypass` in it takes over at once. None: `RESILIENCE_CONTROL_FILE`.
        max_scopes: how many scopes are kept, the least recently used go first.
        rows: where breakers keep their evidence, for simulations; None: where the
            policy's `state` says.

    Raises:
        ValueError: `RESILIENCE_MODE` is none of enforce, observe, bypass.
    """

    def __init__(
        self,
        *,
        sinks: Sequence[Sink] | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
        control_file: str | os.PathLike[str] | None = None,
        max_scopes: int = 10_000,
        rows: MakeRows | None = None,
    ) -> None:
        self._load: Callable[[], policy.PolicyTable] = policy.built_in
        self.table = policy.built_in()
        """The compiled policy that is live."""
        # The functions themselves: each healthy call asks for the time twice.
        self.now: Callable[[], float] = time.monotonic if clock is None else clock.now
        self.sleep: Callable[[float], None] = (
            time.sleep if clock is None else clock.sleep
        )
        self.asleep: Callable[[float], Awaitable[None]] = (
            asleep if clock is None else clock.asleep
        )
        self.wait = event_wait(clock)
        self.epoch = 0
        """Rises when bindings must be made anew."""
        self.loaded_at = time.time()
        """Wall time at which the live policy was loaded."""
        self._seed = seed
        self.fanout = Fanout(sinks)
        """The sinks."""
        self.fallback = Fallbacks(self)
        """Registers a function that a policy names: `engine.fallback(name, fn)`."""
        self._bindings: dict[Target, Binding] = {}
        self._sharing = Sharing(rows, self.now, self._renew_bindings)
        self._scopes = Scopes(max_scopes, self._renew_bindings, self._sharing.rows)
        self._live = Live(self, self._sharing)
        self._timer: Timer | None = None
        self._mode: Mode | None = parse_mode(os.environ.get("RESILIENCE_MODE"))
        path = control_file or os.environ.get("RESILIENCE_CONTROL_FILE")
        self._control = ControlFile(path) if path else None
        self.is_controlled = self._control is not None
        """Is there a control file, so that adapters must `look` with each call?"""
        self.drilled: Callable[[], dict[str, Any]] | None = None
        """What the drill says whose faults calls of this engine meet; None: none do."""
        self._next_look = 0.0
        self.closed = False
        self._renew_process()
        _engines.add(self)

    # -- loading -----------------------------------------------------------------

    @classmethod
    def from_yaml(
        cls, *paths: str | os.PathLike[str], **options: Any
    ) -> "PolicyEngine":
        """An engine from policy files; later files overlay earlier ones.

        Args:
            paths: at least one file.
            options: as for `PolicyEngine`.

        Raises:
            PolicyError: something is wrong with the text; it lists all problems.
            OSError: a file cannot be read.
        """
        if not paths:
            msg = "from_yaml needs at least one file"
            raise TypeError(msg)
        return cls._loaded(lambda: policy.load_files(paths), options)

    @classmethod
    def from_text(cls, text: str, **options: Any) -> Self:
        """An engine from YAML text; raises `PolicyError` as `from_yaml` does."""
        return cls._loaded(lambda: policy.load([("<text>", text)]), options)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any], **options: Any) -> Self:
        """An engine from plain data of the file's form; raises as `from_yaml` does."""
        return cls._loaded(lambda: policy.load_mapping(mapping), options)

    @classmethod
    def _loaded(
        cls, load: Callable[[], policy.PolicyTable], options: dict[str, Any]
    ) -> Self:
        table = load()
        engine = cls(**options)
        engine._load = load
        engine._adopt(table)
        return engine

    def _adopt(self, table: policy.PolicyTable) -> None:
        self.table = table
        self.loaded_at = time.time()
        if self._sharing.adopt(table.state, table.name):
            self._scopes.forget_evidence()
        self._renew_bindings()
        self._live.adopted()
        for notice in table.notices:
            self.emit((Notice("policy", notice, self.now()),))

    def reload(self) -> None:
        """Read the policy again and swap it in whole.

        Calls in flight keep the old one; state survives unless its own parameters
        changed.

        Raises:
            PolicyError: the new text is wrong; the old policy stays live.
            OSError: a file cannot be read; the old policy stays live.
        """
        try:
            table = self._load()
        except (ValueError, OSError) as error:
            self.emit((Notice("reload-failed", self._live.failed(error), self.now()),))
            raise
        self._adopt(table)

    # -- modes -------------------------------------------------------------------

    @property
    def mode(self) -> Mode:
        """`enforce`, `observe` or `bypass`, for the whole engine.

        Setting it holds until it is set again: nothing acts more strongly than it
        says, whatever the file says for a section. None gives the file back its say.
        """
        return self._override() or self.table.mode

    @mode.setter
    def mode(self, mode: Mode | None) -> None:
        self._mode = parse_mode(mode)
        self._renew_bindings()
        self._live.say()

    def _override(self) -> Mode | None:
        control = self._control.mode if self._control else None
        return control or self._mode

    def look(self) -> None:
        """Look at the control file if a second has passed; adapters call it first."""
        if self._control is None:
            return
        now = self.now()
        if now < self._next_look:
            return
        self._next_look = now + 1.0
        changed, problem = self._control.look()
        if problem:
            self.emit((Notice("control-file", problem, now),))
        if changed:
            self._renew_bindings()
            self._live.say()
            self.emit((Notice("mode-changed", f"mode is now {self.mode}", now),))

    def _renew_bindings(self) -> None:
        self._bindings = {}
        self.epoch += 1

    # -- what adapters use -------------------------------------------------------

    def bind(self, target: Target) -> Binding:
        """Policy and state of *target*; valid while `binding.epoch` is `epoch`."""
        self.look()
        found = self._bindings.get(target)
        if found is None or found.epoch != self.epoch:
            found = self._bind(target)
            if len(self._bindings) >= MAX_BINDINGS:
                self._bindings = {}
            self._bindings[target] = found
        return found

    def _bind(self, target: Target) -> Binding:
        epoch, override = self.epoch, self._override()
        found = self.table.policy_for(
            target.protocol,
            target.name,
            target.service,
            target.method,
            override or self.table.mode,
        )
        mode = weaker(found.mode, override or "enforce")
        dimensions = found.breaker.scope if found.breaker else ("target",)
        scope = self._scopes.get(scope_key(target, dimensions), self.now())
        successes = self.fanout.wants_successes
        bound = bind(target, found, mode, scope, epoch, successes=successes)
        self._live.catch_up()
        if notices := self._sharing.notices():
            self.emit(notices)
        return bound

    def new_call(self, binding: Binding, facts: Facts = NO_FACTS) -> Call:
        """A call that is about to arrive; one driver owns it."""
        call_id = (self._prefix, next(self._numbers))
        rng = Draws(self._random) if self.fanout.wants_draws else self._random
        make = binding.make_call
        if make is None:
            return Call(binding, facts, call_id, rng)
        return make(binding, facts, call_id, rng)

    def emit(self, records: tuple[Record, ...]) -> None:
        """Hand records to the sinks; what a sink raises is counted, never passed on."""
        self.fanout.emit(records, self.now())

    def add_sink(self, sink: Sink) -> None:
        """Have records go to *sink* too, from calls that arrive from now on."""
        with self._lock:
            self.fanout.add(sink)
        self._renew_bindings()

    @property
    def timer(self) -> Timer:
        """The engine's one timer thread; it starts with its first entry."""
        timer = self._timer
        if timer is None:
            with self._lock:
                timer = self._timer = self._timer or Timer(self.now, self._timer_failed)
        return timer

    def _timer_failed(self, error: Exception) -> None:
        self.emit((Notice("timer", f"a timer function raised {error!r}", self.now()),))

    # -- plain functions ---------------------------------------------------------

    def call(
        self,
        name: str,
        fn: Callable[[functions.Attempt], T],
        *,
        idempotency: Idempotency = "none",
        timeout: float | None = None,
    ) -> T:
        """Run *fn* under the policy of *name*, on the calling thread; never hedged.

        Args:
            name: `app:service/operation`.
            fn: takes an attempt with `number` and `timeout_s`; an exception is a
                failed attempt.
            idempotency: what makes a repeat harmless, where the policy says `auto`.
            timeout: seconds for the whole call; it replaces the policy's.

        Raises:
            Rejected: refused, *fn* was not called.
            Exception: the last one that *fn* raised, with a note of the history.
        """
        target = functions.parse(name)
        binding = self.bind(target)
        if binding.mode == "bypass":
            return fn(functions.Attempt(1, timeout))
        if binding.hedging_acts:
            functions.say_unhedged(self, name)
        call = self.new_call(binding, functions.facts(binding, idempotency, timeout))
        return functions.run(call, fn, self, timeout, binding.policy.fallback)

    async def acall(
        self,
        name: str,
        fn: Callable[[functions.Attempt], Awaitable[T]],
        *,
        idempotency: Idempotency = "none",
        timeout: float | None = None,  # noqa: ASYNC109 - the policy's, not one scope's
    ) -> T:
        """Await *fn* under the policy of *name*, hedged if that says so, as `call`."""
        target = functions.parse(name)
        binding = self.bind(target)
        if binding.mode == "bypass":
            return await fn(functions.Attempt(1, timeout))
        facts = functions.facts(binding, idempotency, timeout, can_hedge=True)
        call = self.new_call(binding, facts)
        fallback = binding.policy.fallback
        return await functions.arun(call, fn, self, timeout, fallback)

    # -- looking and acting from outside -----------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Modes, policy and every scope's state, as data ready for JSON."""
        return {
            **self._live.snapshot(),
            "scopes": self._scopes.snapshot(self.now()),
            "evicted_scopes": self._scopes.evicted,
            "processes": self._sharing.processes(),
            "sink_failures": self.fanout.failures,
            "drill": None if self.drilled is None else self.drilled(),
        }

    def breaker(self, scope: str) -> BreakerControl:
        """The breakers of *scope*, to move by hand: `force_open()`, `disable()`, ...

        Raises:
            KeyError: no call went to that scope yet; names the nearest ones.
        """
        return BreakerControl(self._scopes, scope, self.now, self.emit)

    def close(self) -> None:
        """Stop the timer thread and flush the sinks; harmless twice.

        Calls that wait in the timer end as cancelled.
        """
        self.closed = True
        if self._timer is not None:
            self._timer.close()
        self._live.close()
        self._sharing.close()
        self.fanout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- processes ---------------------------------------------------------------

    def _renew_process(self) -> None:
        """Locks, ids and jitter of this process; also in the child of a fork."""
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        unique = f"{os.getpid()}-{time.time_ns()}-{id(self)}".encode()
        self._prefix = hashlib.blake2b(unique, digest_size=4).hexdigest()
        self._random = random.Random(self._seed).random

    def renew(self) -> None:
        """New locks, ids, permits and jitter: runs by itself in the child of a fork."""
        self._seed = None
        self._renew_process()
        self._scopes.renew()
        self._sharing.renew()
        self._live.renew()
        self.fanout.renew()
        if self._timer is not None:
            self._timer.renew()
        self._renew_bindings()


_engines: "weakref.WeakSet[PolicyEngine]" = weakref.WeakSet()


def _renew_engines() -> None:
    for engine in [*_engines]:
        engine.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_engines)
