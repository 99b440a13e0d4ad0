"""Run botocore's and s3transfer's own tests with us installed on each session.

    python botocore_suite.py [--python VENV/bin/python] [--mode enforce] [--workers 2]

Each suite runs bare once (remembered per version), then once per mode. A test that
passed bare and does not pass now is a regression unless expected_differences.txt
names it with a reason. Exit codes: 0 none, 1 regressions, 2 the run itself is broken.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from suite_source import installed_version, unpacked_tests


HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".conformance"
MODES = ("enforce", "observe", "bypass")
SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One set of foreign tests."""

    distribution: str
    paths: tuple[str, ...]


SUITES = {
    # All that looks at retries, plus what crosses our hooks with requests stubbed or
    # answered in the process.
    "botocore-retries": Suite(
        distribution="botocore",
        paths=(
            "tests/functional/retries",
            "tests/functional/test_discovery.py",
            "tests/functional/test_dynamodb.py",
            "tests/functional/test_events.py",
            "tests/functional/test_retry.py",
            "tests/functional/test_s3.py",
            "tests/functional/test_stub.py",
            "tests/unit/retries",
            "tests/unit/test_client.py",
            "tests/unit/test_endpoint.py",
            "tests/unit/test_retryhandler.py",
        ),
    ),
    "s3transfer-functional": Suite(
        distribution="s3transfer", paths=("tests/functional",)
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A difference by design."""

    mode: str | None
    pattern: re.Pattern[str]
    reason: str

    def covers(self, mode: str, test: str) -> bool:
        return self.mode in (None, mode) and self.pattern.search(test) is not None


def expected_differences(text: str) -> list[Expected]:
    """Parse expected_differences.txt; raise ValueError on a line without a reason."""
    found, reason = [], []
    for line in text.splitlines():
        if line.startswith("#"):
            reason.append(line.lstrip("# "))
        elif not line.strip():
            reason = []
        elif not reason:
            msg = f"expected_differences.txt: no reason above {line!r}"
            raise ValueError(msg)
        else:
            mode, pattern = re.fullmatch(r"(?:\[(\w+)\]\s*)?(.+)", line).groups()
            found.append(
                Expected(
                    mode=mode, pattern=re.compile(pattern), reason=" ".join(reason)
                )
            )
    return found


def run(
    suite: Suite, home: Path, result: Path, options: argparse.Namespace, hook: str
) -> dict:
    """Run one suite in *home*, with or without a hook, and return what it wrote."""
    result.unlink(missing_ok=True)
    # Somebody's AWS settings must decide nothing here.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "BOTO"))}
    env["PYTHONPATH"] = os.pathsep.join(
        [str(HERE), *map(os.path.abspath, options.path)]
    )
    env["CONFORMANCE_HOOK"] = hook
    env["CONFORMANCE_RESULT"] = str(result)
    # Their settings, not ours: no warnings filter, no plugin that reorders.
    (home / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n  slow:\n  validates_models:\n"
    )
    command = [options.python, "-m", "pytest", *suite.paths, "-q", "--tb=short"]
    command += ["-p", "session_hook", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command += ["-p", "no:warnings", "-o", "timeout=300", "-n", str(options.workers)]
    with result.with_suffix(".log").open("w") as log:
        subprocess.run(command, cwd=home, env=env, stdout=log, stderr=log, check=False)
    if not result.exists():
        sys.stderr.write(f"the run wrote no result; see {log.name}\n")
        raise SystemExit(2)
    return json.loads(result.read_text())


def passed(found: dict) -> set[str]:
    return {test for test, word in found["outcomes"].items() if word == "passed"}


def results_folder(python: str) -> Path:
    """Return where results live: one folder for each version of botocore."""
    folder = CACHE / f"results-botocore-{installed_version(python, 'botocore')}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def bare_run(name: str, home: Path, results: Path, options: argparse.Namespace) -> dict:
    """Return what the suite does without us, from the cache when it has been run."""
    remembered = results / f"{home.name}-bare.json"
    if remembered.exists() and not options.fresh:
        return json.loads(remembered.read_text())
    now = results / f"{home.name}-bare-now.json"
    found = run(SUITES[name], home, now, options, hook="")
    now.rename(remembered)
    return found


def compare(
    bare: dict, found: dict, mode: str, expected: list[Expected]
) -> tuple[list[str], list[str]]:
    """Return the tests that got worse: those nobody expected, those expected."""
    worse = sorted(passed(bare) - passed(found))
    known = [t for t in worse if any(e.covers(mode, t) for e in expected)]
    return [t for t in worse if t not in known], known


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--suite", action="append", choices=SUITES, help="default: all")
    add(
        "--mode", action="append", help="a function of hooks.py; default: " + str(MODES)
    )
    add("--hook", help="module:function to use instead of hooks.py's modes")
    add("--python", default=sys.executable, help="the interpreter under test")
    add("--path", action="append", default=[], help="a folder for its import path")
    add("--workers", type=int, default=2, help="processes; default 2")
    add("--fresh", action="store_true", help="repeat the bare run too")
    options = parser.parse_args(argv)
    options.python = os.path.abspath(options.python)  # noqa: PTH100 - keep the venv's link

    expected = expected_differences((HERE / "expected_differences.txt").read_text())
    hooks = {m: f"hooks:{m}" for m in options.mode or MODES}
    if options.hook:
        hooks = {options.hook.rpartition(":")[2]: options.hook}
    results = results_folder(options.python)
    regressions = 0
    for name in options.suite or SUITES:
        suite = SUITES[name]
        version = installed_version(options.python, suite.distribution)
        home = unpacked_tests(options.python, suite.distribution, version, CACHE)
        bare = bare_run(name, home, results, options)
        print(
            f"{name} of {suite.distribution} {version}: {len(passed(bare))} pass bare"
        )
        if not passed(bare):
            return 2
        for mode, hook in hooks.items():
            start = time.monotonic()
            result = results / f"{name}-{mode}.json"
            found = run(suite, home, result, options, hook)
            new, known = compare(bare, found, mode, expected)
            regressions += len(new)
            print(
                f"  {mode}: {len(passed(found))} pass, {len(new)} regressions, "
                f"{len(known)} expected differences, "
                f"{found['hooked']} sessions hooked, {time.monotonic() - start:.0f} s",
                flush=True,
            )
            for test in new[:SHOWN]:
                print(f"    REGRESSION {found['outcomes'].get(test, 'not run')} {test}")
            if len(new) > SHOWN:
                print(
                    f"    and {len(new) - SHOWN} more; see {result.with_suffix('.log')}"
                )
            if not found["hooked"]:
                print("    no session was hooked: the run proves nothing")
                return 2
    return 1 if regressions else 0


if __name__ == "__main__":
    raise SystemExit(main())
