"""What does `import resilience` cost, and what does it bring along?

At most 150 ms, without grpc and botocore. Each figure is the median of fresh
interpreters, less what an interpreter without it takes.
"""

import statistics
import subprocess
import sys
import time


RUNS = 15
LIBRARIES = ("grpc", "botocore", "pydantic", "yaml", "asyncio", "opentelemetry")


def median_ms(code: str) -> float:
    """Wall time of a fresh interpreter that runs *code*."""
    found = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        found.append((time.perf_counter() - began) * 1e3)
    return statistics.median(found)


def report() -> str:
    """The figures as text."""
    empty, ours = median_ms("pass"), median_ms("import resilience")
    code = (
        f"import sys, resilience; print([m for m in {LIBRARIES} if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return (
        f"import resilience: {ours - empty:.0f} ms over an empty interpreter's "
        f"{empty:.0f} ms (at most 150); imported of {', '.join(LIBRARIES)}: "
        f"{shown.stdout.strip()}"
    )


if __name__ == "__main__":
    print(report())
