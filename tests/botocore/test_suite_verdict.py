"""The judge of foreign suites: what is a regression, and what is not."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance"


@pytest.fixture
def judging(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the conformance run, which is no package."""
    monkeypatch.syspath_prepend(str(CONFORMANCE))
    for name in ("suites", "suite_source", "suite_run", "suite_verdict"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("suite_verdict")


def found(judging: ModuleType, *passed: str, failed: tuple[str, ...] = ()) -> Any:
    """A run in which these passed and those failed."""
    words = dict.fromkeys(passed, "passed") | dict.fromkeys(failed, "failed")
    return judging.Found(outcomes=words)


def expect(judging: ModuleType, pattern: str) -> Any:
    """One written reason."""
    return judging.Expected(
        suite="botocore",
        modes=("enforce",),
        pattern=re.compile(pattern),
        reason="so it is meant",
    )


def repeating(judging: ModuleType, *, bare: list[Any], ours: Any) -> Any:
    """A runner whose bare repeats come one after the other."""
    left = iter(bare)

    def again(label: str, hook: str, tests: list[str]) -> Any:
        return ours if hook else next(left)

    return SimpleNamespace(name="botocore", again=again)


def test_what_fails_again_and_never_bare_is_a_regression(judging: ModuleType):
    """A test that fails with us twice and passes bare in all repeats is ours."""
    bare = found(judging, "a", "b")
    ours = found(judging, "b", failed=("a",))
    again = repeating(judging, bare=[bare] * judging.REPEATS, ours=ours)

    verdict = judging.judge(again, "enforce", bare, ours, [])

    assert (["a"], [], []) == (verdict.regressions, verdict.flaky, verdict.unsteady)


def test_what_did_not_run_is_a_regression(judging: ModuleType):
    """A test that our hook kept from running counts as one that failed."""
    bare, ours = found(judging, "a", "b"), found(judging, "b")
    again = repeating(judging, bare=[bare] * judging.REPEATS, ours=ours)

    assert ["a"] == judging.judge(again, "enforce", bare, ours, []).regressions


def test_what_fails_bare_now_and_then_is_flaky(judging: ModuleType):
    """A test that fails in some bare repeat is counted apart."""
    bare, ours = found(judging, "a"), found(judging, failed=("a",))
    again = repeating(judging, bare=[bare, ours], ours=ours)

    verdict = judging.judge(again, "enforce", bare, ours, [])

    assert ([], ["a"]) == (verdict.regressions, verdict.flaky)


def test_what_passes_the_second_time_is_unsteady(judging: ModuleType):
    """A test that passes with us when its file is repeated is counted apart."""
    bare, ours = found(judging, "a"), found(judging, failed=("a",))
    again = repeating(judging, bare=[], ours=bare)

    verdict = judging.judge(again, "enforce", bare, ours, [])

    assert ([], ["a"]) == (verdict.regressions, verdict.unsteady)


def test_a_written_reason_covers_its_tests_only(judging: ModuleType):
    """A reason covers what its expression finds, in its suite and its modes."""
    bare, ours = found(judging, "a", "b"), found(judging, failed=("a", "b"))
    again = repeating(judging, bare=[bare] * judging.REPEATS, ours=ours)

    verdict = judging.judge(again, "enforce", bare, ours, [expect(judging, "a$")])

    assert (["b"], ["a"]) == (verdict.regressions, verdict.expected)


@pytest.mark.parametrize(("mode", "count"), [("enforce", 1), ("observe", 0)])
def test_a_reason_that_explains_nothing_is_told(
    judging: ModuleType, mode: str, count: int
):
    """A reason whose tests all pass is stale, in the modes that it names."""
    bare = found(judging, "a")
    verdict = judging.judge(
        repeating(judging, bare=[], ours=bare),
        mode,
        bare,
        bare,
        [expect(judging, "a$")],
    )

    assert count == len(verdict.stale)


def test_a_line_without_a_reason_is_refused(judging: ModuleType):
    """Each line of the file of expected differences has a comment above it."""
    with pytest.raises(ValueError, match="no reason"):
        judging.expected_differences("[botocore enforce] tests/x.py::y\n")


def test_the_file_of_expected_differences_can_be_read(judging: ModuleType):
    """What is written there names a suite and modes that exist."""
    text = (CONFORMANCE / "expected_differences.txt").read_text()
    names = importlib.import_module("suites").SUITES

    lines = judging.expected_differences(text)

    assert all(line.suite in names for line in lines)
    assert all(set(line.modes) <= {"enforce", "observe", "bypass"} for line in lines)
