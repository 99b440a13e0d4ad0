"""Print every figure: `python -m benchmarks [word ...]`, words pick modules by name.

A benchmark is a module of this folder with a `report()` that returns text, and prints
it when it is run. Each runs in a process of its own: what one has imported
(OpenTelemetry's instrumentation, say) is no cost of another's calls. What takes hours
(`sweeps`) runs only where a word picks it; what needs an environment of its own is run
there: `python -m benchmarks.aws_overrun_aio`. Exit code 1 when one of them broke off.
"""

import pkgutil
import subprocess
import sys

import benchmarks


QUIET = {"__main__", "measure", "aws_overrun_aio"}
LONG = {"sweeps"}
"""Hours."""


def names(words: list[str]) -> list[str]:
    """The modules whose name holds one of *words*; no words: all but the long ones."""
    found = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    return [
        name
        for name in sorted(found)
        if name not in QUIET
        and (any(word in name for word in words) if words else name not in LONG)
    ]


def main(words: list[str]) -> None:
    """Run them one after the other; `--help`: only say which there are."""
    if "--help" in words or "-h" in words:
        print(__doc__, *names([""]), sep="\n  ")
        return
    broken = []
    for name in names(words):
        print(f"== {name}", flush=True)
        run = [sys.executable, "-m", f"benchmarks.{name}"]
        if subprocess.run(run, check=False).returncode:
            broken.append(name)
        print(flush=True)
    if broken:
        sys.exit(f"broke off: {', '.join(broken)}")


if __name__ == "__main__":
    main(sys.argv[1:])
