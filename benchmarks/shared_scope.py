"""Do calls of one scope hold each other up?

Ten calls of 100 ms through one scope, from ten threads: together they take about
100 ms where nothing is locked over an attempt (a library that holds its breaker's lock
takes a second).
"""

import statistics
import threading
import time

from resilience import PolicyEngine


CALLS = 10
LENGTH_S = 0.1
ROUNDS = 5


def together() -> float:
    """Seconds until ten threads have made their call."""
    with PolicyEngine() as engine:
        threads = [
            threading.Thread(
                target=engine.call,
                args=("app:slow/answer", lambda _: time.sleep(LENGTH_S)),
            )
            for _ in range(CALLS)
        ]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - began


def report() -> str:
    """The figure as text."""
    median_s = statistics.median(together() for _ in range(ROUNDS))
    return f"{CALLS} calls of {LENGTH_S:g} s together: {median_s * 1e3:.0f} ms"


if __name__ == "__main__":
    print(report())
