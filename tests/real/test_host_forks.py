"""Processes that servers and pools start: each has a place, all share the evidence."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from examples.servers.ports import HOST, free_port, wait_listening
from resilience.live import ENDING
from resilience.state.held import said as said_here


pytestmark = pytest.mark.real
ROOT = Path(__file__).resolve().parents[2]
WORKERS = 3
WAIT_S = 20.0


class Gunicorn:
    """A gunicorn server and what its workers say."""

    def __init__(self, program: str, folder: Path, *, preload: bool) -> None:
        self.port = free_port()
        words = ["--preload"] if preload else []
        paths = {"PYTHONPATH": str(ROOT), "RESILIENCE_STATE_DIR": str(folder)}
        if preload:
            paths["RESILIENCE_TEST_CALLS_FIRST"] = "1"
        self.process = subprocess.Popen(
            [
                *(sys.executable, program, *words, "--bind", f"{HOST}:{self.port}"),
                *("--workers", str(WORKERS), "--log-level", "warning"),
                *("--no-control-socket", "tests.real.host_app:application"),
            ],
            cwd=ROOT,
            env={**os.environ, **paths},
        )
        assert wait_listening(
            self.port, within_s=WAIT_S, alive=lambda: self.process.poll() is None
        )

    def get(self, path: str) -> dict:
        """Ask one worker, whichever takes it."""
        connection = HTTPConnection(HOST, self.port, timeout=WAIT_S)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def until(self, path: str, holds) -> dict[int, dict]:
        """Ask until what the workers said last, by pid, fulfils *holds*."""
        said: dict[int, dict] = {}
        give_up = time.monotonic() + WAIT_S
        while True:
            answer = self.get(path)
            said[answer["pid"]] = answer
            if holds(said):
                return said
            assert time.monotonic() < give_up, said

    def end(self) -> None:
        """End it and its workers."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def gunicorn(need, tmp_path):
    """Starts servers that end with the test."""
    started = []

    def start(*, preload: bool) -> Gunicorn:
        started.append(Gunicorn(need("gunicorn"), tmp_path, preload=preload))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """This process looks where the servers write."""
    monkeypatch.setenv("RESILIENCE_STATE_DIR", str(tmp_path))


def know_each_other(said: dict[int, dict]) -> bool:
    """Have all workers answered, and do they see each other?"""
    newest = [*said.values()][-WORKERS:]
    # A place is taken with the first tick after the fork.
    return len({x["slot"] for x in newest} - {None}) == WORKERS and all(
        x["processes"] >= WORKERS for x in newest
    )


@pytest.mark.parametrize("preload", [False, True])
def test_workers_of_gunicorn_share(gunicorn, preload):
    """Each has a place of its own, and what some have seen all know."""
    server = gunicorn(preload=preload)
    said = server.until("/good", know_each_other)
    slots = [each["slot"] for each in said.values()]

    assert len({*slots}) == WORKERS
    server.until(
        "/bad", lambda bad: any(x["states"] != ["closed"] for x in bad.values())
    )
    said = server.until(
        "/good",
        lambda good: (
            len(good) == WORKERS
            or any(x["states"] != ["closed"] for x in good.values())
        ),
    )
    assert any(x["states"] != ["closed"] for x in said.values()), said


def live() -> set[int]:
    """Processes that say which policy they have."""
    return {json.loads(text)["pid"] for text in said_here(ENDING)}


@pytest.mark.parametrize("preload", [False, True])
@pytest.mark.usefixtures("folder")
def test_workers_of_gunicorn_say_their_policy(gunicorn, preload):
    """Each worker says it itself; of those that are killed nothing is heard."""
    server = gunicorn(preload=preload)
    workers = {*server.until("/good", know_each_other)}
    parent = {server.process.pid} if preload else set()
    assert live() == workers | parent

    os.kill(victim := min(workers), signal.SIGKILL)
    later = {*server.until("/good", lambda now: len(now.keys() - {victim}) == WORKERS)}
    assert live() == later - {victim} | parent


def test_a_killed_worker_gives_its_place_back(gunicorn):
    """The one that gunicorn starts instead takes the place of the dead."""
    server = gunicorn(preload=False)
    said = server.until("/good", know_each_other)
    slots = {each["slot"] for each in said.values()}
    victim = min(said)
    os.kill(victim, signal.SIGKILL)
    later = server.until("/good", lambda now: len(now.keys() - {victim}) == WORKERS)

    assert {each["slot"] for pid, each in later.items() if pid != victim} == slots


POOL = """
import json, multiprocessing, os, sys, time
import tests.real.host_app as app

def child(number, tell):
    ready = False
    until = time.monotonic() + {wait}
    bad = False
    while time.monotonic() < until:
        if number < 2:
            app.calls(app.fail if bad else lambda _: 1)
        else:  # it has next to nothing to say itself
            app.calls(lambda _: 1, 1)
            time.sleep(0.3)
        seen = app.seen()
        if seen["processes"] >= 3 and not bad:
            bad = True
            time.sleep(0.2)
        if seen["states"] != ["closed"]:
            tell.put((number, seen))
            while time.monotonic() < until and not done.is_set():
                app.calls(app.fail if number < 2 else lambda _: 1, 1)
            return
    tell.put((number, app.seen()))

def begin(number, tell, event):
    global done
    done = event
    child(number, tell)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    app.calls(lambda _: 1)
    tell, done = context.Queue(), context.Event()
    children = [
        context.Process(target=begin, args=(number, tell, done)) for number in range(3)
    ]
    for each in children:
        each.start()
    found = [tell.get(timeout={wait}) for _ in children]
    done.set()
    for each in children:
        each.join()
    print(json.dumps({{"mine": app.seen(), "found": [seen for _, seen in found]}}))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_share(tmp_path, method):
    """Two children whose calls fail are known to the third, however it was started."""
    program = tmp_path / "pool.py"
    program.write_text(textwrap.dedent(POOL.format(wait=WAIT_S)))
    folder = tmp_path / "state"
    folder.mkdir()
    paths = {"PYTHONPATH": str(ROOT), "RESILIENCE_STATE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, program, method],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, **paths},
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    slots = {told["mine"]["slot"], *(seen["slot"] for seen in told["found"])}
    assert len(slots) == 4
    assert all(seen["states"] != ["closed"] for seen in told["found"]), told
