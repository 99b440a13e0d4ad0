"""What a replay found, as data."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from .answers import Certainty
from .counting import Count, Methods
from .differences import Difference
from .reading import Contents


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What another policy would have decided. Made by `replay`.

    versionadded: 0.1
    """

    policy: dict[str, Any]
    """Name, edition, hash, mode and files of the policy that was played."""
    contents: Contents
    methods: Methods
    attempts: dict[Certainty, int]
    """Attempts of the replay, by what is known of their ends."""
    calls: dict[Certainty, int]
    """Calls of the replay, by the least certain of their attempts."""
    differences: Counter[str]
    """Calls that were decided otherwise, by kind."""
    differing: dict[Certainty, int]
    """The same calls, by certainty."""
    examples: tuple[Difference, ...]
    """A few of each kind and method, by moment."""
    breakers: Counter[tuple[str, str]]
    """Scope and new state, of every change."""
    bypassed: int
    """Calls that the policy does not touch: they are not played."""
    notes: tuple[str, ...]
    """What cannot be known, in words."""

    @property
    def recorded(self) -> Count:
        """All methods together, as it was."""
        total = Count()
        for one in self.methods:
            total.merge(one.recorded)
        return total

    @property
    def replayed(self) -> Count:
        """All methods together, as it would have been."""
        total = Count()
        for one in self.methods:
            total.merge(one.replayed)
        return total

    def figures(self) -> dict[str, float]:
        """What an assertion may name, of the replay."""
        return _figures(self.replayed) | {
            "differences": float(self.differences.total()),
            "known": float(self.attempts["known"]),
            "assumed": float(self.attempts["assumed"]),
            "unknown": float(self.attempts["unknown"]),
        }

    def recorded_figures(self) -> dict[str, float]:
        """The same of the recording, where there is such a figure."""
        return _figures(self.recorded)

    def as_dict(self) -> dict[str, Any]:
        """As data ready for JSON; the keys are stable."""
        contents = self.contents
        began, ended = contents.began_at, contents.ended_at
        span_s = 0.0 if began is None or ended is None else ended - began
        return {
            "policy": self.policy,
            "records": {
                "files": list(contents.files),
                "lines": contents.lines,
                "calls": contents.calls,
                "processes": len(contents.processes),
                "hosts": dict(sorted(contents.hosts.items())),
                "nameless": contents.nameless,
                "span_s": round(span_s, 6),
                "cut_off": list(contents.cut_off),
                "lost": contents.lost,
                "missing": contents.missing,
                "unfinished": contents.unfinished,
                "not_whole": contents.not_whole,
                "begun_before": contents.begun_before,
                "unknown_kinds": dict(sorted(contents.unknown_kinds.items())),
            },
            "attempts": dict(self.attempts),
            "calls": dict(self.calls),
            "bypassed": self.bypassed,
            "totals": {
                "recorded": self.recorded.as_dict(),
                "replayed": self.replayed.as_dict(),
            },
            "methods": [
                {
                    "protocol": protocol,
                    "target": target,
                    "method": method,
                    "recorded": one.recorded.as_dict(),
                    "replayed": one.replayed.as_dict(),
                    "differences": dict(sorted(one.differences.items())),
                }
                for (protocol, target, method), one in self.methods.items()
            ],
            "breakers": self.breaker_rows(),
            "differences": {
                "calls": self.differences.total(),
                "by_kind": dict(sorted(self.differences.items())),
                "by_certainty": dict(self.differing),
                "examples": [one.as_dict() for one in self.examples],
            },
            "notes": list(self.notes),
        }

    def breaker_rows(self) -> list[dict[str, Any]]:
        """How often each breaker went to each state, recorded and now."""
        recorded = self.contents.breakers
        return [
            {
                "scope": scope,
                "state": state,
                "recorded": recorded[scope, state],
                "replayed": self.breakers[scope, state],
            }
            for scope, state in sorted({*recorded, *self.breakers})
        ]


def _figures(count: Count) -> dict[str, float]:
    data = count.as_dict()
    calls = count.calls or 1
    return {
        "calls": float(count.calls),
        "goodput": count.ok / calls,
        "amplification": count.attempts / calls,
        **{
            name: float(data[name])
            for name in (
                "ok",
                "failed",
                "attempts",
                "retries",
                "hedges",
                "rejected",
                "denied",
                "deadlines",
                "ambiguous",
                "mean_latency_s",
                "mean_wait_s",
            )
        },
    }
