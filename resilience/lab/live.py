"""Which policies are live in this host's processes, and what their files say by now.

It only looks, at what engines say of themselves (`resilience.live`) and at the files
that they name. What another process wrote is checked, and left out where it makes no
sense.
"""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from resilience import policy
from resilience.control import parse_mode
from resilience.core.record import Mode
from resilience.errors import PolicyError
from resilience.live import ENDING, VERSION
from resilience.policy import PolicyTable

from .explain import Explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedReload:
    """A reload after which the old policy stayed."""

    at: float
    """Seconds of the wall clock."""
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEngine:
    """One engine in one process."""

    pid: int
    """For people: it may be another namespace's."""
    loaded_at: float
    """When it has loaded the policy: seconds of the wall clock."""
    reload_failed: FailedReload | None
    """The last reload, if it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePolicy:
    """One policy as it is live, and the engines that have it."""

    name: str
    hash: str
    edition: str
    mode: Mode
    """Of the engines: what holds now."""
    file_mode: Mode
    """As written."""
    files: tuple[str, ...]
    """Later ones overlay earlier ones. None, or `<text>`: the program gave it."""
    engines: tuple[LiveEngine, ...]
    """Who loaded it last comes last."""
    hash_now: str
    """What the files give now; empty: that cannot be said, see `problem`."""
    problem: str
    """Why it cannot be said what the files give; empty: it can."""
    explanation: Explanation | None = None
    """What holds for the method that was asked for, where the files still say it."""

    @property
    def is_current(self) -> bool:
        """Do the files still give what is live?"""
        return self.hash_now == self.hash

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the processes that have it."""
        return tuple(sorted({one.pid for one in self.engines}))

    def as_dict(self) -> dict[str, Any]:
        """As data ready for JSON."""
        found = self.explanation
        return {
            **asdict(replace(self, explanation=None)),
            "is_current": self.is_current,
            "explanation": None if found is None else found.as_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveView:
    """All policies that are live on this host, for this user."""

    policies: tuple[LivePolicy, ...]
    """By name; of one name the one that was loaded last comes last."""
    differences: tuple[str, ...]
    """Names under which not all engines have one policy, in words."""

    @property
    def is_well(self) -> bool:
        """Is something live, one policy for each name, and as its files say?"""
        stale = any(one.hash_now and not one.is_current for one in self.policies)
        return bool(self.policies) and not self.differences and not stale

    @property
    def is_explained(self) -> bool:
        """Is the method explained for each policy?"""
        return all(one.explanation is not None for one in self.policies)

    def as_dict(self) -> dict[str, Any]:
        """As data ready for JSON."""
        return {
            "policies": [one.as_dict() for one in self.policies],
            "differences": list(self.differences),
        }


def look(explain: Callable[[PolicyTable, Mode], Explanation] | None = None) -> LiveView:
    """What is live on this host.

    Args:
        explain: has a policy and an engine's mode explained; None: nothing is.

    Raises:
        ValueError: `explain` does.
    """
    found: dict[tuple[Any, ...], dict[tuple[int, int], _Said]] = {}
    latest: dict[tuple[int, int], float] = {}
    every = sorted(_said(), key=lambda one: one.said_at)
    for one in every:  # an engine that says something new just now may say both
        latest[one.whose] = one.said_at
    for one in every:
        if one.said_at == latest[one.whose]:
            found.setdefault(one.what, {})[one.whose] = one
    read = _Reading()
    policies = [_policy([*each.values()], read, explain) for each in found.values()]
    policies.sort(key=lambda one: (one.name, one.engines[-1].loaded_at, one.hash))
    return LiveView(policies=tuple(policies), differences=tuple(_differences(policies)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    whose: tuple[int, int]
    said_at: float
    name: str
    hash: str
    edition: str
    mode: Mode
    file_mode: Mode
    files: tuple[str, ...]
    engine: LiveEngine

    @property
    def what(self) -> tuple[Any, ...]:
        """All but the engine."""
        parts = (self.name, self.hash, self.edition, self.mode, self.file_mode)
        return (*parts, self.files)


_SENSELESS = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


def _said() -> Iterator[_Said]:
    try:
        from resilience.state.held import said
    except ImportError:  # not a system of this kind
        return
    for content in said(ENDING):
        with contextlib.suppress(*_SENSELESS):
            yield _checked(json.loads(content))


def _checked(data: dict[str, Any]) -> _Said:
    """What an engine says, in the types that it must have.

    Raises:
        ValueError, TypeError, KeyError, AttributeError, RecursionError: it makes no
            sense.
    """
    if data["v"] != VERSION:
        msg = "of another version"
        raise ValueError(msg)
    failed, pid = data["reload_failed"], int(data["pid"])
    return _Said(
        whose=(pid, int(data["engine"])),
        said_at=_moment(data["said_at"]),
        name=str(data["name"]),
        hash=str(data["policy_hash"]),
        edition=str(data["edition"]),
        mode=parse_mode(str(data["mode"])) or "enforce",
        file_mode=parse_mode(str(data["file_mode"])) or "enforce",
        files=tuple(map(str, data["files"])),
        engine=LiveEngine(
            pid=pid,
            loaded_at=_moment(data["loaded_at"]),
            reload_failed=None
            if failed is None
            else FailedReload(at=_moment(failed["at"]), error=str(failed["error"])),
        ),
    )


def _moment(value: Any) -> float:
    moment = float(value)
    if not math.isfinite(moment):
        msg = "no moment"
        raise ValueError(msg)
    return moment


class _Reading:
    """Reads each set of files once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], tuple[PolicyTable | None, str]] = {}

    def table(self, files: tuple[str, ...]) -> tuple[PolicyTable | None, str]:
        """Their policy; None, and why there is none."""
        if files not in self._known:
            self._known[files] = _table(files)
        return self._known[files]


def _table(files: tuple[str, ...]) -> tuple[PolicyTable | None, str]:
    if not files or not all(map(os.path.isabs, files)):
        return None, "the program gave it, no file"
    try:
        return policy.load_files(files), ""
    except PolicyError as error:
        first = error.problems[0]
        return None, f"{first.file}:{first.line}: {first.message}"
    except OSError as error:
        return None, f"cannot read {error.filename}: {error.strerror}"
    except ValueError as error:  # what another process wrote is no name of a file
        return None, f"cannot read it: {error}"


def _policy(
    said: list[_Said],
    read: _Reading,
    explain: Callable[[PolicyTable, Mode], Explanation] | None,
) -> LivePolicy:
    one = said[0]
    table, problem = read.table(one.files)
    engines = sorted(
        (each.engine for each in said), key=lambda each: (each.loaded_at, each.pid)
    )
    explanation = None
    if explain is not None and table is not None and table.hash == one.hash:
        explanation = explain(table, one.mode)
    return LivePolicy(
        name=one.name,
        hash=one.hash,
        edition=one.edition,
        mode=one.mode,
        file_mode=one.file_mode,
        files=one.files,
        engines=tuple(engines),
        hash_now="" if table is None else table.hash,
        problem=problem,
        explanation=explanation,
    )


def _differences(policies: Iterable[LivePolicy]) -> Iterator[str]:
    by_name: dict[str, list[LivePolicy]] = {}
    for one in policies:
        by_name.setdefault(one.name, []).append(one)
    for name, several in by_name.items():
        if len(several) > 1:
            yield f"the engines of {name} differ: {'; '.join(_each(several))}"


def _each(several: list[LivePolicy]) -> Iterator[str]:
    """Who has what, by what differs among them."""
    newest = several[-1]
    has_modes = len({one.mode for one in several}) > 1
    for one in several:
        plural = "" if len(one.pids) == 1 else "es"
        what = f"{one.hash} in process{plural} {', '.join(map(str, one.pids))}"
        if has_modes:
            what += f", mode {one.mode}"
        if one.hash != newest.hash and one.files == newest.files:
            what += ", not reloaded"
        yield what
