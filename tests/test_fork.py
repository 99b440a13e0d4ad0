"""After a fork the child has locks, ids, permits and jitter of its own."""

import subprocess
import sys
import textwrap

import pytest


BEGIN = """
import json, logging, os, sys, threading
import resilience
from resilience.core.target import Target
from resilience.testing import CollectingSink, Script

logging.getLogger("resilience").addHandler(logging.NullHandler())
sink = CollectingSink()
refused = ConnectionRefusedError()
NAME = "app:rates/quote"
CLASSIC = "version: 1\\nall: {breaker: {kind: classic}}"

def waits(engine):
    sink.records.clear()
    engine.call(NAME, Script([refused, refused, 1]).run)
    return [ended.wait_s for ended in sink.attempts[:-1]] + [sink.calls[0].call_id]

def forked(fn):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.write(write, json.dumps(fn()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    assert os.waitpid(pid, 0)[1] == 0
    return json.loads(text)
"""


def run(body):
    """Run *body* in a process of its own, which may fork as it likes."""
    code = BEGIN + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_child_calls_on():
    """An engine that was used before a fork works in the child."""
    run("""
        engine = resilience.PolicyEngine.from_text(CLASSIC, sinks=[sink], seed=0)
        waits(engine)
        engine.timer.at(engine.now() + 60, print)
        assert forked(lambda: engine.call(NAME, lambda attempt: attempt.number)) == 1
        assert forked(lambda: len(engine.timer)) == 0
        assert len(engine.timer) == 1
        engine.close()
    """)


def test_children_differ():
    """Ids and jitter differ between a parent and each of its children."""
    run("""
        engine = resilience.PolicyEngine.from_text(CLASSIC, sinks=[sink], seed=0)
        made = [forked(lambda: waits(engine)) for _ in range(3)] + [waits(engine)]
        for column in zip(*made):
            assert len(set(column)) == 4, made
    """)


def test_locks_held_elsewhere_are_new():
    """A lock that another thread held at the moment of the fork blocks no child."""
    run("""
        engine = resilience.PolicyEngine.from_text(CLASSIC, sinks=[sink], seed=0)
        engine.call(NAME, lambda _: 1)
        control = engine.breaker("app:target=rates")
        control.open()
        binding = engine.bind(
            Target(protocol="app", name="rates", service="rates", method="quote")
        )
        locks = [binding.breaker._lock, binding.budget._lock, engine._scopes._lock]
        locks.append(engine._lock)
        for lock in locks:
            lock.acquire()

        def child():
            control.reset()
            engine.timer
            binding.budget.deposit(engine.now())
            engine.snapshot()
            return engine.call(NAME, lambda attempt: attempt.number)

        assert forked(child) == 1
    """)


def test_probes_of_the_parent_hold_nothing():
    """A probe that the parent has under way takes no place of the child's."""
    run("""
        engine = resilience.PolicyEngine.from_text(CLASSIC, sinks=[sink], seed=0)
        engine.call(NAME, lambda _: 1)
        control = engine.breaker("app:target=rates")
        control.open()
        binding = engine.bind(
            Target(protocol="app", name="rates", service="rates", method="quote")
        )
        breaker = binding.breaker
        while type(breaker.admit(engine.now() + 60, lambda: 0.5)).__name__ == "Permit":
            pass
        taken = engine.snapshot()["scopes"][0]["breakers"][0]["probes_in_flight"]
        found = forked(
            lambda: engine.snapshot()["scopes"][0]["breakers"][0]["probes_in_flight"]
        )
        assert (taken > 0, found) == (True, 0)
        assert forked(lambda: engine.call(NAME, lambda attempt: attempt.number)) == 1
    """)


def test_sinks_are_renewed():
    """Sinks with a `renew` hear of the fork, in the child only."""
    run("""
        class Renewed(CollectingSink):
            renewed = 0
            def renew(self):
                self.renewed += 1

        sink = Renewed()
        engine = resilience.PolicyEngine(sinks=[sink])
        assert forked(lambda: sink.renewed) == 1
        assert sink.renewed == 0
    """)


def test_a_sink_that_cannot_be_renewed_hurts_nobody():
    """A sink that raises in the child is counted; other engines are renewed."""
    run("""
        class Broken(CollectingSink):
            def renew(self):
                raise OSError

        engines = [
            resilience.PolicyEngine(sinks=[Broken(), sink], seed=0) for _ in range(2)
        ]
        ids = forked(lambda: [waits(engine)[-1] for engine in engines])
        mine = [waits(engine)[-1] for engine in engines]
        assert len({*ids, *mine}) == 4
        failures = forked(lambda: engines[0].snapshot()["sink_failures"])
        assert failures == 1
    """)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_engines_in_worker_processes(method):
    """An engine made at import works in workers of either kind."""
    run(f"""
        import multiprocessing
        context = multiprocessing.get_context({method!r})
        engine = resilience.PolicyEngine(sinks=[sink])
        engine.call(NAME, lambda _: 1)
        if {method!r} == "fork":
            process = context.Process(target=waits, args=(engine,))
        else:
            process = context.Process(target=resilience.PolicyEngine)
        process.start()
        process.join()
        assert process.exitcode == 0
    """)
