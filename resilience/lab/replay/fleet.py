"""The engines of a replay: one for each process that recorded, in virtual time.

Each has the state that its process's calls make it have (under `state: host` those of
its host's processes), from nothing: what was before the recording is not known.
"""

from collections import OrderedDict
from collections.abc import Callable

from resilience.core.call import Call
from resilience.core.record import Mode, Record
from resilience.drivers.virtual import VirtualLoop
from resilience.engine import PolicyEngine
from resilience.policy import PolicyTable

from .machines import Machines
from .passage import numbers
from .recorded import Recorded


MOST_ENGINES = 1000
"""Processes that are remembered at once; the one that was quiet longest goes."""


class _LoopTime:
    """A loop as an engine's clock; nobody may sleep on it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        """Virtual monotonic seconds."""
        return self._loop.now

    def sleep(self, seconds: float) -> None:
        """Nobody may."""
        raise NotImplementedError

    async def asleep(self, seconds: float) -> None:
        """Nobody may."""
        raise NotImplementedError


class _Wanting:
    """A sink for whose sake every call leaves its record; the driver keeps them."""

    def emit(self, record: Record) -> None:
        """Nothing."""


class Fleet:
    """Engines by process. Owned by one replay.

    Args:
        table: the policy that all of them have.
        loop: virtual time.
        mode: as if it were set on each engine; None: as the policy says.
        seed: of random numbers that were not recorded.
    """

    def __init__(
        self, table: PolicyTable, loop: VirtualLoop, mode: Mode | None, seed: int
    ) -> None:
        self._table = table
        self._clock = _LoopTime(loop)
        self._mode: Mode | None = mode
        self._seed = seed
        self._engines: OrderedDict[str, PolicyEngine] = OrderedDict()
        self._machines = Machines(self._clock.now)

    def call(self, recorded: Recorded) -> Call | None:
        """That call, new, under the policy; None: it is bypassed."""
        engine = self._engine(recorded.process, recorded.host)
        binding = engine.bind(recorded.target)
        if binding.mode == "bypass":
            return None
        # Each call has its own numbers: those that it took when it was recorded.
        rng: Callable[[], float] = numbers(recorded, self._seed)
        engine._random = rng  # noqa: SLF001 - draws as recorded
        return engine.new_call(binding, recorded.ended.facts)

    def _engine(self, process: str, host: str) -> PolicyEngine:
        engines = self._engines
        found = engines.get(process)
        if found is None:
            found = engines[process] = self._make(host)
            if len(engines) > MOST_ENGINES:
                engines.popitem(last=False)[1].close()
        engines.move_to_end(process)
        return found

    def _make(self, host: str) -> PolicyEngine:
        options: dict[str, object] = {
            "sinks": (_Wanting(),),
            "clock": self._clock,
            "seed": self._seed,
        }
        if self._table.state == "host":  # never that of the machine we run on
            options["rows"] = self._machines.process(host)
        # The text is read once for all of them.
        engine = PolicyEngine._loaded(lambda: self._table, options)  # noqa: SLF001 - as `from_yaml`
        engine.mode = self._mode
        return engine

    def close(self) -> None:
        """Close all engines."""
        for engine in self._engines.values():
            engine.close()
