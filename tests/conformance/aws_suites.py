"""Run other projects' tests with us installed on each session that they make.

    python aws_suites.py [--suite botocore|s3transfer|moto|aiobotocore]
        [--mode enforce|observe|bypass] [--python VENV/bin/python] [--workers N]
        [--quick] [--only FILES or FILES::TESTS, regular expressions]

Each suite runs bare (remembered while all that is installed stays the same), then once
per mode. A test that passed bare and does not pass now is a regression unless
expected_differences.txt names it with a reason. Suspects are run again, by file: what
fails bare, too, in one of five repeats is flaky, what passes with us the second time is
unsteady; both are named and counted apart. Exit codes: 0 none, 1 a regression or a
reason that explains nothing any more, 2 the run itself is broken.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from suite_run import Found, Runner
from suite_source import installed
from suite_verdict import Expected, Verdict, expected_differences, judge
from suites import SUITES


HERE = Path(__file__).resolve().parent
MODES = ("enforce", "observe")
ALL_MODES = (*MODES, "bypass")
SHOWN = 40


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    runner: Runner
    mode: str
    bare: Found
    found: Found
    verdict: Verdict

    def cells(self) -> tuple[str, ...]:
        """The figures as text."""
        runner, verdict = self.runner, self.verdict
        return (
            f"{runner.name} {runner.version}",
            runner.botocore,
            self.mode,
            str(len(self.bare.passed)),
            str(len(self.found.passed)),
            str(len(verdict.regressions)),
            str(len(verdict.expected)),
            str(len(verdict.flaky) + len(verdict.unsteady)),
            str(self.found.hooked),
            str(self.found.clients),
            f"{self.found.seconds:.0f} s",
        )


HEAD = (
    "suite",
    "botocore",
    "mode",
    "pass bare",
    "with us",
    "regressions",
    "expected",
    "chance",
    "sessions",
    "clients",
    "took",
)


def table(rows: list[Row]) -> str:
    """All figures, in columns."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(HEAD))]
    texts = (
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        for line in lines
    )
    return "\n".join("  ".join(text).rstrip() for text in texts)


def details(row: Row) -> None:
    """Name what is behind the figures."""
    found, verdict = row.found, row.verdict
    groups = (
        ("REGRESSION", verdict.regressions),
        ("expected", verdict.expected),
        ("flaky", verdict.flaky),
        ("unsteady", verdict.unsteady),
    )
    for word, tests in groups:
        for test in tests[:SHOWN]:
            outcome = found.outcomes.get(test, "not run")
            print(f"    {word} {outcome} {test}: {found.why.get(test, '')[:160]}")
        if len(tests) > SHOWN:
            log = row.runner.results / f"{row.mode}.log"
            print(f"    and {len(tests) - SHOWN} more {word}; see {log}")
    for one in verdict.stale:
        print(f"    STALE these pass, take the line away: {one.pattern.pattern}")


def run(
    name: str, options: argparse.Namespace, expected: list[Expected]
) -> list[Row] | None:
    """Run one suite in all modes; None: it proves nothing."""
    runner = Runner(name, options.python, options.workers, options.path)
    files = runner.files(options.only, quick=options.quick)
    pattern = options.only.partition("::")[2]
    bare = runner.bare(files, pattern, fresh=options.fresh)
    print(
        f"{name} {runner.version}, botocore {runner.botocore}: "
        f"{len(bare.passed)} pass bare",
        flush=True,
    )
    if not bare.passed:
        return None
    rows = []
    for mode in options.mode or MODES:
        found = runner.run(mode, f"hooks:{mode}", files, pattern)
        verdict = judge(runner, mode, bare, found, expected)
        rows.append(Row(runner, mode, bare, found, verdict))
        print(
            f"  {mode}: {len(found.passed)} pass, {len(verdict.regressions)} "
            f"regressions, {found.hooked} sessions, {found.seconds:.0f} s",
            flush=True,
        )
        details(rows[-1])
        if not found.clients and not options.only:
            print("    no client was made with us: the run proves nothing")
            return None
    return rows


def main(argv: list[str] | None = None) -> int:
    """Run it; the exit code is told above."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--suite", action="append", choices=SUITES, help="default: all there are")
    add("--mode", action="append", choices=ALL_MODES, help=f"default: {MODES}")
    add("--python", default=sys.executable, help="the interpreter under test")
    add("--path", action="append", default=[], help="a folder for its import path")
    add("--workers", type=int, default=2, help="processes; default 2")
    add("--only", default="", help="the part that matches FILES or FILES::TESTS")
    add("--quick", action="store_true", help="without sweeps through all models")
    add("--fresh", action="store_true", help="repeat the bare run, too")
    options = parser.parse_args(argv)
    options.python = os.path.abspath(options.python)  # noqa: PTH100 - keep the venv's link

    expected = expected_differences((HERE / "expected_differences.txt").read_text())
    has = installed(options.python)
    names = options.suite or [n for n, s in SUITES.items() if s.distribution in has]
    rows, broken = [], []
    for name in names:
        made = run(name, options, expected)
        broken += [name] if made is None else []
        rows += made or []
    print(table(rows))
    if broken:
        print(f"broken: {', '.join(broken)}")
        return 2
    bad = any(row.verdict.regressions or row.verdict.stale for row in rows)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
