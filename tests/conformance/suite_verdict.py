"""What a difference between two runs of a foreign suite is worth.

A test that passed bare and does not with us is a regression, unless a written reason
names it, or it turns out to be chance. A reason that explains nothing is an error, too.
"""

import re
from dataclasses import dataclass, field

from suite_run import Found, Runner


REPEATS = 5
"""Bare runs of a file with a suspect: does it fail now and then anyway?"""
MOST_REPEATED = 100
"""More suspects than that are no chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A difference by design: one line of the file, with the reason above it."""

    suite: str
    modes: tuple[str, ...]
    pattern: re.Pattern[str]
    reason: str

    def covers(self, suite: str, mode: str, test: str) -> bool:
        """Is *test* one of those that may differ?"""
        here = suite == self.suite and mode in self.modes
        return here and self.pattern.search(test) is not None


@dataclass(slots=True)
class Verdict:
    """One suite in one mode, judged."""

    regressions: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    flaky: list[str] = field(default_factory=list)
    """Failed bare, too, in some repeat."""
    unsteady: list[str] = field(default_factory=list)
    """Failed with us in the whole run, and not when its file was repeated."""
    stale: list[Expected] = field(default_factory=list)
    """Reasons whose tests pass."""


def expected_differences(text: str) -> list[Expected]:
    """Parse expected_differences.txt; raise ValueError on a line without a reason."""
    found, reason = [], []
    for line in text.splitlines():
        if line.startswith("#"):
            reason.append(line.lstrip("# "))
        elif not line.strip():
            reason = []
        else:
            match = re.fullmatch(r"\[(\w+) ([\w|]+)\]\s+(.+)", line)
            if not reason or match is None:
                msg = f"expected_differences.txt: no reason or no suite: {line!r}"
                raise ValueError(msg)
            suite, modes, pattern = match.groups()
            found.append(
                Expected(
                    suite=suite,
                    modes=tuple(modes.split("|")),
                    pattern=re.compile(pattern),
                    reason=" ".join(reason),
                )
            )
    return found


def judge(
    runner: Runner, mode: str, bare: Found, found: Found, expected: list[Expected]
) -> Verdict:
    """Sort what got worse in *found*; suspects are run again."""
    name, hook = runner.name, f"hooks:{mode}"
    worse = bare.passed - found.passed
    verdict = Verdict()
    verdict.expected = sorted(
        test for test in worse if any(e.covers(name, mode, test) for e in expected)
    )
    verdict.stale = [
        one
        for one in expected
        if any(one.covers(name, mode, t) for t in bare.passed & found.passed)
        and not any(one.covers(name, mode, t) for t in worse)
    ]
    suspects = sorted(worse - set(verdict.expected))
    if not suspects or len(suspects) > MOST_REPEATED:
        verdict.regressions = suspects
        return verdict
    again = runner.again(f"{mode}-again", hook, suspects).passed
    verdict.unsteady = [test for test in suspects if test in again]
    left = [test for test in suspects if test not in again]
    for _ in range(REPEATS if left else 0):
        alone = runner.again("bare-again", "", left).passed
        verdict.flaky += [test for test in left if test not in alone]
        left = [test for test in left if test in alone]
        if not left:
            break
    verdict.regressions = left
    return verdict
