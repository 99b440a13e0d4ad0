"""What the processes of this host share right now: their scopes, added up.

It only looks: no process notices, and none is made or changed.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from resilience.core.shared_budget import PREFIX
from resilience.state.peek import Seen, SeenRow, names, peek


OPEN_BELOW = 0.02
"""An admitted fraction up to this is called open: probes only."""
State = Literal["closed", "limiting", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostScope:
    """One scope, over all live processes that tell of it."""

    policy: str
    scope: str
    state: State
    """The most careful process's."""
    processes: int
    closed: int
    limiting: int
    open: int
    """Of these processes."""
    admitted: float
    """The share of calls that may pass: 0.0 to 1.0, by what each process offers."""
    rate: float
    """Calls per second that all offer."""
    ok: int
    bad: int
    """Results of the last `seconds`."""
    seconds: float
    idle_s: float
    """Since any process looked at it."""
    pids: tuple[int, ...]
    careful_pids: tuple[int, ...]
    """Of the processes that do not let all pass."""
    since_s: float | None
    """For how long the first of these has not; None: all pass, or it is not told."""
    evidence: str
    """What was seen, in words; empty where all may pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """All that is shared under some names."""

    policies: tuple[str, ...]
    processes: int
    """That live; an idle one does not."""
    scopes: tuple[HostScope, ...]

    def as_dict(self) -> dict[str, object]:
        """As data ready for JSON."""
        return asdict(self)


def look(name: str | None = None, now: float | None = None) -> HostView:
    """What is shared under *name*, or under all names of this user.

    Args:
        name: of a policy.
        now: monotonic seconds; None: now.
    """
    moment = time.monotonic() if now is None else now
    wanted = names() if name is None else [name]
    found = [seen for each in wanted if (seen := peek(each, moment)) is not None]
    scopes = [scope for seen in found for scope in _scopes(seen)]
    scopes.sort(key=lambda scope: (scope.admitted, -scope.rate, scope.scope))
    return HostView(
        policies=tuple(seen.name for seen in found),
        processes=sum(seen.processes for seen in found),
        scopes=tuple(scopes),
    )


def state_of(fraction: float) -> State:
    """What a process that admits *fraction* is called."""
    if fraction >= 1:
        return "closed"
    return "open" if fraction <= OPEN_BELOW else "limiting"


def _scopes(seen: Seen) -> list[HostScope]:
    by_name: dict[str, list[SeenRow]] = {}
    for row in seen.rows:
        if not row.scope.startswith(PREFIX):  # a pool of retries limits no calls
            by_name.setdefault(row.scope, []).append(row)
    return [_scope(seen.name, name, rows) for name, rows in by_name.items()]


def _scope(policy: str, name: str, rows: Sequence[SeenRow]) -> HostScope:
    states = [state_of(row.fraction) for row in rows]
    rate = sum(row.rate for row in rows)
    weights = [row.rate for row in rows] if rate else [1.0] * len(rows)
    shares = (row.fraction * weight for row, weight in zip(rows, weights, strict=True))
    careful = [row for row in rows if row.fraction < 1]
    since = [row.since_s for row in careful if row.since_s is not None]
    return HostScope(
        policy=policy,
        scope=name,
        state=state_of(min(row.fraction for row in rows)),
        processes=len({row.slot for row in rows}),
        closed=states.count("closed"),
        limiting=states.count("limiting"),
        open=states.count("open"),
        admitted=round(sum(shares) / sum(weights), 4),
        rate=round(rate, 3),
        ok=sum(row.ok for row in rows),
        bad=sum(row.bad for row in rows),
        seconds=round(max(row.seconds for row in rows), 3),
        idle_s=round(min(row.idle_s for row in rows), 3),
        pids=tuple(sorted({row.pid for row in rows})),
        careful_pids=tuple(sorted({row.pid for row in careful})),
        since_s=None if not since else round(max(since), 3),
        evidence=_evidence(rows) if careful else "",
    )


def _evidence(rows: Sequence[SeenRow]) -> str:
    """What the host has seen of the scope lately, and who."""
    bad = sum(row.bad for row in rows)
    results = bad + sum(row.ok for row in rows)
    seconds = max(row.seconds for row in rows)
    text = f"no results in {seconds:.3g} s"
    if results:
        who = len({row.slot for row in rows if row.bad})
        seen = f", seen by {who} process{'' if who == 1 else 'es'}" if who else ""
        text = f"{bad} of {results} results bad in {seconds:.3g} s{seen}"
    last = [row.bad_s for row in rows if row.bad_s is not None]
    return f"{text}; the last bad one {min(last):.1f} s ago" if last else text
