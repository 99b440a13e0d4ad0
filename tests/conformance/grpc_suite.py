"""Run grpcio's own client tests, interop cases included, with us around each channel.

    python grpc_suite.py [--python VENV/bin/python] [--wrap wrapper:enforce] [--only RE]

Each way of wrapping is compared with a bare run (remembered per version). For the
interceptors, what interceptors lose that only pass through is not ours: it is found in
the same way. Tests that fail are run again by themselves, bare and wrapped alike; one
that fails in one of five bare repeats is no regression, and counted apart. Exit codes:
0 no regression, 1 regressions, 2 the run itself is broken.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from grpc_source import unpacked_suite
from suite_source import installed_version


HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".conformance"
WRAPS = (
    "wrapper:enforce",
    "wrapper:observe",
    "wrapper:bypass",
    "pass",
    "interceptor:enforce",
)
PATTERNS = (
    "tests/unit/_*_test.py",
    "tests/interop/_*_intraop_test.py",
    "tests/status/_*_test.py",
    "tests/health_check/_*_test.py",
    "tests/reflection/_*_test.py",
    "tests/channelz/_*_test.py",
    "tests_py3_only/unit/_simple_stubs_test.py",
    "tests_aio/unit/*_test.py",
    "tests_aio/interop/*_test.py",
    "tests_aio/status/*_test.py",
    "tests_aio/health_check/*_test.py",
    "tests_aio/reflection/*_test.py",
)
REPEATS = 5
"""Of a test that fails with us, without us: does it do so now and then anyway?"""
LONGEST_S = 60.0
"""A test that takes longer is taken for hung."""


def modules(home: Path) -> list[str]:
    """The suite's modules that make client channels."""
    found = [path for pattern in PATTERNS for path in sorted(home.glob(pattern))]
    return [".".join(p.relative_to(home).with_suffix("").parts) for p in found]


class Run:
    """One pass over the suite, wrapped in one way."""

    def __init__(self, home: Path, python: str, wrap: str, longest_s: float) -> None:
        self._home = home
        self._longest_s = longest_s
        self._python = python
        self._env = dict(os.environ, CONFORMANCE_GRPC=wrap, PYTHONUNBUFFERED="1")
        folders = [HERE / "grpc_site", home, HERE.parents[1]]
        self._env["PYTHONPATH"] = os.pathsep.join(map(str, folders))

    def module(self, name: str) -> dict[str, dict]:
        """The results of one module; failures had a second chance."""
        found = self._until_done(name, [])
        bad = [test for test, line in found.items() if _is_bad(line)]
        for test in bad:
            again = self._until_done(name, [test]).get(test)
            if again is not None and not _is_bad(again):
                found[test] = again | {"flaky": True}
        return found

    def only(self, name: str, test: str) -> dict | None:
        """The result of one test of module *name*, once; None: it did not run."""
        return self._until_done(name, [test]).get(test)

    def _until_done(self, name: str, wanted: list[str]) -> dict[str, dict]:
        """Run it; what hangs is killed, and the rest goes on without it."""
        found: dict[str, dict] = {}
        left = wanted
        while True:
            lines, hung, ended = self._once(name, left)
            for line in lines:
                if "test" in line:
                    found[line["test"]] = line
            if hung:
                found[hung] = {"outcome": "hung", "text": "", "channels": 0}
            if ended or not hung or wanted:
                return found
            left = [t for t in self._names(name) if t not in found]
            if not left:
                return found

    def _names(self, name: str) -> list[str]:
        code = (
            "import sys, unittest; from grpc_worker import flat;"
            "m = __import__(sys.argv[1], fromlist=['x']);"
            "print(*(t.id() for t in"
            " flat(unittest.defaultTestLoader.loadTestsFromModule(m))))"
        )
        env = self._env | {"PYTHONPATH": f"{HERE}{os.pathsep}{self._env['PYTHONPATH']}"}
        command = [self._python, "-c", code, name]
        answer = subprocess.run(
            command, cwd=self._home, env=env, capture_output=True, text=True, check=True
        )
        return answer.stdout.split()

    def _once(self, name: str, wanted: list[str]) -> tuple[list[dict], str, bool]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "results")
            out.touch()
            command = [self._python, str(HERE / "grpc_worker.py"), name, str(out)]
            process = subprocess.Popen(
                [*command, *wanted],
                cwd=self._home,
                env=self._env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            size, since = 0, time.monotonic()
            while process.poll() is None and time.monotonic() - since < self._longest_s:
                time.sleep(0.05)
                if out.stat().st_size != size:
                    size, since = out.stat().st_size, time.monotonic()
            ended = process.poll() is not None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            lines = [json.loads(line) for line in out.read_text().splitlines()]
        begun = [line["begins"] for line in lines if "begins" in line]
        done = {line["test"] for line in lines if "test" in line}
        hung = next((test for test in begun if test not in done), "")
        is_whole = ended and any("end" in line for line in lines)
        return lines, hung or ("" if is_whole else name), is_whole


def _is_bad(line: dict) -> bool:
    return line["outcome"] not in ("passed", "skipped")


def run(home: Path, options: argparse.Namespace, wrap: str) -> dict[str, dict]:
    """All results of one way of wrapping."""
    one = Run(home, options.python, wrap, options.longest)
    names = [n for n in modules(home) if re.search(options.only, n)]
    found: dict[str, dict] = {}
    with ThreadPoolExecutor(options.workers) as pool:
        for results in pool.map(one.module, names):
            found |= results
    return found


def passed(found: dict[str, dict]) -> set[str]:
    """The tests that passed."""
    return {test for test, line in found.items() if line["outcome"] == "passed"}


def fails_bare(home: Path, options: argparse.Namespace, test: str) -> bool:
    """Does *test* fail without us, too, in some of a few repeats?

    One that reads channelz's list of channels does: the list has no order any more.
    """
    name = test.rpartition(".")[0].rpartition(".")[0]
    one = Run(home, options.python, "", options.longest)
    for _ in range(REPEATS):
        line = one.only(name, test)
        if line is not None and _is_bad(line):
            return True
    return False


def remembered(path: Path, home: Path, options: argparse.Namespace, wrap: str) -> dict:
    """The results of a run without us; from the cache when it was made before."""
    if path.exists() and not options.fresh and options.only == ".":
        return json.loads(path.read_text())
    found = run(home, options, wrap)
    if options.only == ".":
        path.write_text(json.dumps(found, indent=1))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--wrap", action="append", help=f"default: {', '.join(WRAPS)}")
    add("--python", default=sys.executable, help="the interpreter under test")
    add("--only", default=".", help="expression that module names match")
    add("--workers", type=int, default=2, help="processes; default 2")
    add("--longest", type=float, default=LONGEST_S, help="seconds for one test")
    add("--fresh", action="store_true", help="repeat the runs without us, too")
    options = parser.parse_args()
    options.python = os.path.abspath(options.python)  # noqa: PTH100 - keep the venv's link

    home = unpacked_suite(options.python, CACHE)
    version = installed_version(options.python, "grpcio")
    results = CACHE / f"results-grpcio-{version}"
    results.mkdir(parents=True, exist_ok=True)
    bare = remembered(results / "bare.json", home, options, "")
    print(f"grpcio {version}: {len(passed(bare))} tests pass bare", flush=True)
    if not passed(bare):
        return 2
    regressions = 0
    lost: set[str] = set()
    for wrap in options.wrap or WRAPS:
        start = time.monotonic()
        if wrap == "pass":
            found = remembered(results / "pass.json", home, options, wrap)
        else:
            found = run(home, options, wrap)
            (results / f"{wrap.replace(':', '-')}.json").write_text(
                json.dumps(found, indent=1)
            )
        worse = passed(bare) - passed(found)
        if wrap == "pass":
            lost = worse
            print(f"  pass: what grpcio's hooks lose by themselves: {len(lost)}")
            continue
        expected = worse & lost if wrap.startswith("interceptor") else set()
        unstable = {
            test for test in worse - expected if fails_bare(home, options, test)
        }
        new = sorted(worse - expected - unstable)
        regressions += len(new)
        made = sum(1 for line in found.values() if line["channels"])
        print(
            f"  {wrap}: {len(passed(found))} pass, {len(new)} regressions, "
            f"{len(expected)} lost to grpcio's hooks, {len(unstable)} that fail bare, "
            f"too, when repeated, channels made in {made} tests, "
            f"{time.monotonic() - start:.0f} s",
            flush=True,
        )
        for test in new:
            line = found.get(test, {"outcome": "not run", "text": ""})
            last = (line["text"].strip().splitlines() or [""])[-1]
            print(f"    REGRESSION {line['outcome']} {test}: {last[:160]}")
        if not made:
            print("    no channel was wrapped: the run proves nothing")
            return 2
    return 1 if regressions else 0


if __name__ == "__main__":
    raise SystemExit(main())
