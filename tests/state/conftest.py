"""Processes on one host: each `HostState` has a slot of its own, in one process too."""

import random

import pytest

from resilience.core.adaptive import AdaptiveBreaker
from resilience.state import HostState
from tests.core.policies import breaker


POLICY = breaker(kind="adaptive", unit_s=1.0)


class Process:
    """One process of the host, with a breaker for one backend."""

    def __init__(self, name: str = "shop") -> None:
        self.told: list[tuple[str, str]] = []
        self.host = HostState(name, lambda *said: self.told.append(said))
        self.rng = random.Random(1).random
        self.breakers: dict[str, AdaptiveBreaker] = {}

    def breaker(self, scope: str = "grpc:target=cart") -> AdaptiveBreaker:
        if scope not in self.breakers:
            rows = self.host.rows(scope)
            self.breakers[scope] = AdaptiveBreaker(POLICY, scope, rows)
        return self.breakers[scope]

    def calls(self, now: float, *, good: int = 0, bad: int = 0, **where) -> int:
        """Make calls at *now*; how many were let through."""
        breaker, sent = self.breaker(**where), 0
        for at in range(good + bad):
            permit = breaker.admit(now, self.rng)
            if hasattr(permit, "probe"):
                sent += 1
                said = "success" if at < good else "failure"
                breaker.done(permit, said, 0.01, now, self.rng)
        return sent


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the host's files of this test are."""
    monkeypatch.setenv("RESILIENCE_STATE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def process(folder):
    """Starts processes on the host; they end with the test."""
    started: list[Process] = []

    def start(name: str = "shop") -> Process:
        started.append(Process(name))
        return started[-1]

    yield start
    for each in started:
        each.host.close()
