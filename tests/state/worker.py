"""One process of a host: a call every 10 ms, to backends that live or die by order.

    python worker.py NAME

Orders on its input, one a line: `use BACKEND`, `dead`, `alive`, `slow` (a call every
50 ms), `stop`. It tells, as
JSON lines with the monotonic time: `ready`, the first `bad` result of a backend, each
`state` of its breaker, and how many `calls` it made after every 50.
"""

import contextlib
import json
import select
import sys
import time

from resilience import PolicyEngine
from resilience.errors import Rejected


POLICY = """
version: 1
name: {name}
state: host
all:
  attempt_timeout: 1s
  retry: off
  breaker: {{kind: adaptive, scope: [target]}}
"""


class Worker:
    """Calls, and takes orders."""

    def __init__(self, name: str) -> None:
        self.engine = PolicyEngine.from_text(POLICY.format(name=name), sinks=[self])
        self.backend = "first"
        self.is_dead = self.saw_bad = False
        self.calls = 0
        self.every_s = 0.01

    def emit(self, record: object) -> None:
        """Tell of breakers that change."""
        if type(record).__name__ == "BreakerChanged":
            self.tell("state", state=record.new, scope=record.scope)
        elif type(record).__name__ == "Notice":
            self.tell("notice", code=record.code, text=record.message)

    def tell(self, what: str, **more: object) -> None:
        print(json.dumps({"what": what, "at": time.monotonic(), **more}), flush=True)

    def attempt(self, _: object) -> None:
        if self.is_dead:
            if not self.saw_bad:
                self.saw_bad = True
                self.tell("bad")
            raise ConnectionRefusedError

    def run(self) -> None:
        ready = 0
        while True:
            if select.select([sys.stdin], [], [], self.every_s)[0]:
                order = sys.stdin.readline().split()
                if not order or order == ["stop"]:
                    return
                if order == ["slow"]:
                    self.every_s = 0.05
                else:
                    self.is_dead = order == ["dead"]
                    self.saw_bad = False
                if order[0] == "use":
                    self.backend = order[1]
            with contextlib.suppress(ConnectionRefusedError, Rejected):
                self.engine.call(f"app:{self.backend}/get", self.attempt)
            self.calls += 1
            if self.calls % 50 == 0:
                self.tell("calls", calls=self.calls)
            processes = self.engine.snapshot()["processes"] if ready < 8 else ready
            if processes != ready:
                ready = processes
                self.tell("ready", processes=ready)


if __name__ == "__main__":
    Worker(sys.argv[1]).run()
