"""One run of a foreign suite in a process of its own, bare or with a hook.

A run is a pytest command in the suite's own folder, with our plugin (session_hook.py)
in it and nothing of ours otherwise, unless a hook is named.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from suite_source import installed, installed_version, packages, unpacked_tests
from suites import SUITES, Suite


HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".conformance"
DECIDING = (
    *("aiobotocore", "aiohttp", "boto3", "botocore", "moto", "s3transfer", "urllib3"),
    *("pytest", "pytest-timeout", "pytest-xdist"),
)
"""What a remembered bare run depends on."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a run came to."""

    outcomes: dict[str, str] = field(default_factory=dict)
    """Of each test: passed, failed, error, skipped, xfailed, xpassed."""
    why: dict[str, str] = field(default_factory=dict)
    """The last line of what a failed test said."""
    hooked: int = 0
    """Sessions that were given to the hook."""
    clients: int = 0
    """Clients that were made with us in them."""
    seconds: float = 0.0

    def part(self, files: list[str], pattern: str) -> "Found":
        """The same run, as if it had been of the tests in question only."""
        chosen = {
            test: word
            for test, word in self.outcomes.items()
            if test.partition("::")[0].startswith(tuple(files))
            and re.search(pattern, test)
        }
        return replace(self, outcomes=chosen)

    @property
    def passed(self) -> set[str]:
        return {test for test, word in self.outcomes.items() if word == "passed"}


class Runner:
    """Runs one suite with one interpreter."""

    def __init__(self, name: str, python: str, workers: int, path: list[str]) -> None:
        self.name = name
        self.suite: Suite = SUITES[name]
        self.python = python
        self._workers = workers
        self.version = installed_version(python, self.suite.distribution)
        self.botocore = installed_version(python, "botocore")
        self.home = unpacked_tests(
            python, self.suite.distribution, self.version, CACHE, self.suite.files
        )
        extra = packages(python, self.suite.needs, CACHE)
        self._path = [str(HERE), *map(str, extra), *map(os.path.abspath, path)]
        self.results = CACHE / f"results-{name}-{self.version}-botocore-{self.botocore}"
        self.results.mkdir(parents=True, exist_ok=True)
        self._fingerprint = self._made_of()

    def _made_of(self) -> str:
        """All that decides about a bare run, in a word."""
        has = installed(self.python)
        parts = [f"{name} {has.get(name)}" for name in DECIDING]
        parts += [self.suite.settings, *self.suite.arguments, *self.suite.needs]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def files(self, only: str, *, quick: bool = False) -> list[str]:
        """The files of the suite whose names match *only*, or its folders as they are.

        *only* is `FILES` or `FILES::TESTS`, both regular expressions; *quick* leaves
        the sweeps out.
        """
        sweeps = self.suite.sweeps if quick else ""
        if not only and not sweeps:
            return list(self.suite.paths)
        names, left_out = re.compile(only.partition("::")[0]), re.compile(sweeps)
        tops = (self.home / path for path in self.suite.paths)
        found = sorted(p for top in tops for p in top.rglob("test_*.py"))
        texts = [str(path.relative_to(self.home)) for path in found]
        return [
            text
            for text in texts
            if names.search(text) and not (sweeps and left_out.search(text))
        ]

    def bare(self, files: list[str], pattern: str, *, fresh: bool) -> Found:
        """What the suite does without us; remembered while nothing else changed."""
        path = self.results / "bare.json"
        whole = files == list(self.suite.paths) and not pattern
        if path.exists() and not fresh:
            known = json.loads(path.read_text())
            if known.pop("fingerprint") == self._fingerprint:
                return Found(**known).part(files, pattern)
        found = self.run("bare" if whole else "bare-part", "", files, pattern)
        if whole and found.outcomes:
            kept = asdict(found) | {"fingerprint": self._fingerprint}
            path.write_text(json.dumps(kept, indent=1, sort_keys=True))
        return found

    def again(self, label: str, hook: str, tests: list[str]) -> Found:
        """Run the files of *tests* once more, one after the other."""
        files = sorted({test.partition("::")[0] for test in tests})
        return self.run(label, hook, files, "", workers=0)

    def run(
        self,
        label: str,
        hook: str,
        files: list[str],
        pattern: str,
        *,
        workers: int | None = None,
    ) -> Found:
        """Run the tests in *files* whose ids match *pattern*."""
        raw = self.results / f"{label}-raw.json"
        raw.unlink(missing_ok=True)
        self._write_settings()
        if not files:
            return Found()
        command = [self.python, "-m", "pytest", "-c", "pytest.ini", *files]
        command += ["-q", "--tb=short", "-p", "session_hook", "-p", "no:cacheprovider"]
        command += ["-p", "no:randomly", "-o", "timeout=300", *self.suite.arguments]
        command += ["-n", str(self._workers if workers is None else workers)]
        start = time.monotonic()
        with (self.results / f"{label}.log").open("w") as log:
            subprocess.run(
                command,
                cwd=self.home,
                env=self._environment(hook, raw, pattern),
                stdout=log,
                stderr=log,
                check=False,
            )
        if not raw.exists():
            sys.stderr.write(f"the run wrote no result; see {log.name}\n")
            raise SystemExit(2)
        return Found(**json.loads(raw.read_text()), seconds=time.monotonic() - start)

    def _write_settings(self) -> None:
        """Their settings, not ours: no plugin that reorders, no filter of warnings."""
        (self.home / "pytest.ini").write_text(f"[pytest]\n{self.suite.settings}")

    def _environment(self, hook: str, raw: Path, pattern: str) -> dict[str, str]:
        """Somebody's AWS settings must decide nothing here."""
        inherited = os.environ.items()
        env = {k: v for k, v in inherited if not k.startswith(("AWS_", "BOTO"))}
        env["PYTHONPATH"] = os.pathsep.join(self._path)
        env["CONFORMANCE_HOOK"] = hook
        env["CONFORMANCE_RESULT"] = str(raw)
        env["CONFORMANCE_ONLY"] = pattern
        return env
