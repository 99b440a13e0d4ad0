"""A drill as it is shown to people: what it injects, into whom, and how much so far.

The same data stand in `engine.snapshot()`, in `resilience status` and, as words, in the
line that says that a drill is armed.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from resilience.policy.durations import show

from .model import Drill, Fault


MOST_TOLD: Final = 5
"""Faults that a line names; of further ones it has the number."""
TIME_IS_UP: Final = "its time is up"
EXPIRED: Final = "it has expired"
FILE_CHANGED: Final = "its file is gone or was changed"
State = Literal["waiting", "injecting", "quiet", "over"]
"""Not begun; a fault is on; it has begun and no fault is on now; nothing follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultShown:
    """One fault of a drill."""

    words: str
    """What happens to whom: `status UNAVAILABLE to 5% of shop.Cart/*`."""
    kind: str
    percent: float
    """Of the attempts that it may hit: above 0, up to 100."""
    whom: tuple[str, ...]
    from_s: float
    until_s: float
    """From the drill's start."""
    is_on: bool
    injected: int
    """Attempts of this process that it has hit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillShown:
    """A drill in one process."""

    name: str
    title: str
    file: str
    pid: int
    state: State
    why: str
    """Why it is over, where it knows."""
    elapsed_s: float | None
    """Since its start; None: it has not begun."""
    duration_s: float
    expires: str
    """After this moment nothing is injected; empty: there is none."""
    injected: int
    """Attempts of this process that its faults have hit."""
    faults: tuple[FaultShown, ...]

    def as_dict(self) -> dict[str, Any]:
        """As data ready for JSON."""
        return asdict(self)

    def at(
        self, elapsed_s: float, hits: Sequence[int], *, why: str = ""
    ) -> "DrillShown":
        """How it stands at another moment.

        Args:
            elapsed_s: since its start; below 0: it has not begun.
            hits: attempts that each fault has hit, in the drill's order.
            why: it is over, for this reason; empty: it is not, unless by its time.

        Raises:
            ValueError: there are not as many hits as faults.
        """
        if not why and elapsed_s >= self.duration_s:
            why = TIME_IS_UP
        faults = tuple(
            replace(
                fault,
                is_on=not why and fault.from_s <= elapsed_s < fault.until_s,
                injected=hit,
            )
            for fault, hit in zip(self.faults, hits, strict=True)
        )
        state: State = "injecting" if any(one.is_on for one in faults) else "quiet"
        if why or elapsed_s < 0:
            state = "over" if why else "waiting"
        return replace(
            self,
            state=state,
            why=why,
            elapsed_s=None if elapsed_s < 0 else round(elapsed_s, 3),
            injected=sum(hits),
            faults=faults,
        )


def shown(drill: Drill, file: str) -> DrillShown:
    """*drill*, read from *file*, in this process, before it begins."""
    return DrillShown(
        name=drill.name,
        title=drill.title,
        file=file,
        pid=os.getpid(),
        state="waiting",
        why="",
        elapsed_s=None,
        duration_s=drill.duration,
        expires="" if drill.expires is None else drill.expires.isoformat(),
        injected=0,
        faults=tuple(
            FaultShown(
                words=words(fault),
                kind=fault.kind,
                percent=round(fault.ratio * 100, 6),
                whom=(*fault.targets, *fault.methods),
                from_s=fault.at,
                until_s=fault.ends,
                is_on=False,
                injected=0,
            )
            for fault in drill.faults
        ),
    )


def words(fault: Fault) -> str:
    """*fault* in a few words: what, how often, to whom."""
    what = {
        "status": f"status {fault.code}",
        "delay": f"delay {show(fault.delay or 0.0)}",
    }.get(fault.kind, fault.kind)
    whom = ", ".join(fault.methods or fault.targets)
    if fault.methods and fault.targets:
        whom += f" on {', '.join(fault.targets)}"
    return f"{what} to {fault.ratio * 100:g}% of {whom}"


def told(drill: Drill, file: str) -> str:
    """The sentence that says that *drill* is armed."""
    parts = [words(fault) for fault in drill.faults[:MOST_TOLD]]
    if len(drill.faults) > MOST_TOLD:
        parts.append(f"and {len(drill.faults) - MOST_TOLD} more")
    return (
        f"drill {drill.name} is armed: it injects faults into real calls for "
        f"{drill.duration:g} s ({file}): {'; '.join(parts)}"
    )
