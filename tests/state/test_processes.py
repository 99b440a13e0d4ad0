"""Real processes on one host: what two have seen all know; one's fault is its own."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import pytest


pytestmark = pytest.mark.real
WORKER = Path(__file__).parent / "worker.py"
ROOT = Path(__file__).resolve().parents[2]
EIGHT = 8


class Started:
    """A worker process, and what it tells."""

    def __init__(self, number: int, heard: queue.Queue, folder: Path) -> None:
        self.number = number
        paths = {"PYTHONPATH": str(ROOT), "RESILIENCE_STATE_DIR": str(folder)}
        self.environment = {**os.environ, **paths}
        self.process = subprocess.Popen(
            [sys.executable, WORKER, "eight"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        self.reader = threading.Thread(target=self._read, args=(heard,))
        self.reader.start()

    def _read(self, heard: queue.Queue) -> None:
        for line in self.process.stdout:
            heard.put((self.number, json.loads(line)))

    def order(self, text: str) -> None:
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def heard():
    return queue.Queue()


@pytest.fixture
def workers(heard, tmp_path):
    """Eight processes that know of each other."""
    started = [Started(number, heard, tmp_path) for number in range(EIGHT)]
    try:
        seen = {}
        for number, said in telling(heard):
            if said["what"] == "ready":
                seen[number] = said["processes"]
            if len(seen) == EIGHT and set(seen.values()) == {EIGHT}:
                break
        yield started
    finally:
        for each in started:
            each.end()


def telling(heard: queue.Queue, seconds: float = 15.0):
    """What the workers tell, until nothing comes for *seconds*."""
    while True:
        yield heard.get(timeout=seconds)


def time_to_know(workers, heard, backend: str) -> float:
    """Seconds from the second process's first bad result until all limit *backend*.

    The others call it every 50 ms: they have hardly seen anything themselves by then.
    """
    for each in workers:
        each.order(f"use {backend}")
    calls: dict[int, int] = {}
    for number, said in telling(heard):
        if said["what"] == "calls":
            calls[number] = calls.get(number, 0) + 1
        if len(calls) == EIGHT:
            break
    for each in workers:
        each.order("dead")
    bad: dict[int, float] = {}
    known: dict[int, float] = {}
    for number, said in telling(heard):
        if said["what"] == "bad":
            bad[number] = said["at"]
        if said["what"] == "state" and said["scope"] == f"app:target={backend}":
            known.setdefault(number, said["at"])
        if len(known) == EIGHT:
            break
    return max(known.values()) - sorted(bad.values())[1]


def test_all_know_what_two_have_seen(workers, heard):
    """All limit a dead backend within 300 ms of the second to have evidence."""
    times = []
    for each in workers[2:]:
        each.order("slow")
    for backend in ("cart", "search", "stock"):  # a busy machine may miss one
        times.append(round(time_to_know(workers, heard, backend), 3))
        if times[-1] <= 0.3:
            break

    assert min(times) <= 0.3, times


def test_a_broken_network_is_one_s_own(workers, heard):
    """One process whose calls all fail limits itself, and nobody else."""
    broken, *_ = workers
    broken.order("dead")
    limited: set[int] = set()
    calls = dict.fromkeys(range(1, EIGHT), 0)
    for number, said in telling(heard):
        if said["what"] == "state":
            limited.add(number)
        if said["what"] == "calls" and limited and number in calls:
            calls[number] += 1
        if min(calls.values()) >= 2:
            break

    assert limited == {0}


def test_killed_processes_are_forgotten(workers, heard):
    """Who is killed counts no more, and its place is free."""
    for each in workers[2:]:
        each.process.kill()
    text = """
import json, time
from resilience.state import HostState
print(json.dumps(HostState("eight", print).pulse(time.monotonic()).slot))
"""
    for each in workers[2:]:
        each.process.wait()
    shown = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        check=True,
        env=workers[0].environment,
    )

    assert json.loads(shown.stdout) < EIGHT
