"""The engine: loading, reloading, binding, snapshots, closing."""

import json
import threading

import pytest

from resilience import PolicyEngine, PolicyError, Rejected
from resilience.core.outcome import Outcome
from resilience.core.record import Notice
from resilience.core.target import Target
from resilience.drivers.callback import CallbackDriver
from resilience.testing import CollectingSink, Script


QUOTE = Target(protocol="app", name="rates", service="rates", method="quote")
BUDGET = "retry_budget: {ratio: 0.3}"
CLASSIC = "breaker: {kind: classic}"
BREAKER = "breaker: {min_calls: 2, kind: classic}"


def policy(*lines):
    inside = ", ".join(lines)
    return f"version: 1\nall: {{{inside}}}\n"


@pytest.fixture
def sink():
    return CollectingSink()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "resilience.yaml"
    path.write_text(policy("timeout: 9s", CLASSIC), encoding="utf-8")
    return path


@pytest.fixture
def engine(file, sink, resilience_clock):
    with PolicyEngine.from_yaml(
        file, sinks=[sink], clock=resilience_clock, seed=0
    ) as made:
        yield made


def trip(engine, *, calls=40):
    """Fail calls of rates/quote until its breaker opens."""
    for _ in range(calls):
        with pytest.raises((ConnectionRefusedError, Rejected)):
            engine.call("app:rates/quote", Script([ConnectionRefusedError()] * 9).run)
    return engine.breaker("app:target=rates").state


def test_no_file_no_timeout():
    """Without a file there is a policy, and none of its timeouts is ours."""
    found = PolicyEngine().bind(QUOTE).policy

    assert found.retry is not None
    assert found.breaker is not None
    assert (found.timeout_s, found.attempt_timeout_s) == (None, None)


def test_from_yaml(engine, file):
    """Policies come from a file, which the snapshot names."""
    assert engine.bind(QUOTE).policy.timeout_s == 9.0
    assert engine.snapshot()["sources"] == [str(file)]


def test_later_files_overlay(file, tmp_path):
    """More files overlay the first, leaf by leaf."""
    more = tmp_path / "more.yaml"
    more.write_text(policy("attempt_timeout: 2s"), encoding="utf-8")
    found = PolicyEngine.from_yaml(file, more).bind(QUOTE).policy

    assert (found.timeout_s, found.attempt_timeout_s) == (9.0, 2.0)


def test_from_text_and_from_dict():
    """Text and plain data say the same as a file."""
    text = PolicyEngine.from_text(policy("timeout: 9s"))
    data = PolicyEngine.from_dict({"version": 1, "all": {"timeout": "9s"}})

    assert text.bind(QUOTE).policy.timeout_s == 9.0
    assert data.bind(QUOTE).policy.timeout_s == 9.0


def test_from_yaml_needs_a_file(tmp_path):
    """No file named is a mistake; a missing one is an `OSError`."""
    with pytest.raises(TypeError, match="at least one file"):
        PolicyEngine.from_yaml()
    with pytest.raises(FileNotFoundError):
        PolicyEngine.from_yaml(tmp_path / "nowhere.yaml")


def test_wrong_policy():
    """A policy that cannot be used is an error, not an engine."""
    with pytest.raises(PolicyError):
        PolicyEngine.from_text(policy("timeout: 9"))


def test_bindings_are_kept_while_they_hold(engine):
    """A target's binding is made once and again when the epoch has risen."""
    first = engine.bind(QUOTE)

    assert engine.bind(QUOTE) is first

    engine.reload()
    second = engine.bind(QUOTE)

    assert second is not first
    assert second.epoch == engine.epoch != first.epoch


def test_reload_changes_the_policy(engine, file):
    """A reload reads the file again; calls that come after it follow it."""
    before, old = engine.snapshot()["policy_hash"], engine.bind(QUOTE)
    file.write_text(policy("timeout: 4s"), encoding="utf-8")
    engine.reload()

    assert engine.bind(QUOTE).policy.timeout_s == 4.0
    assert old.policy.timeout_s == 9.0
    assert engine.snapshot()["policy_hash"] != before


def test_calls_in_flight_keep_their_policy(engine, file):
    """A call that began before a reload ends by the policy it began with."""

    def reload_inside(attempt):
        if attempt.number == 1:
            file.write_text(policy("retry: off"), encoding="utf-8")
            engine.reload()
        if attempt.number < 3:
            raise ConnectionRefusedError
        return attempt.number

    assert engine.call("app:rates/quote", reload_inside) == 3
    with pytest.raises(ConnectionRefusedError):
        engine.call("app:rates/quote", Script([ConnectionRefusedError(), 1]).run)


def test_reload_keeps_state(engine, file):
    """A breaker that is open stays open over a reload that does not touch it."""
    state = trip(engine)
    file.write_text(policy("timeout: 4s", BUDGET, CLASSIC), encoding="utf-8")
    engine.reload()

    assert state == "open"
    with pytest.raises(Rejected):
        engine.call("app:rates/quote", Script([]).run)


def test_reload_renews_state_whose_parameters_changed(engine, file):
    """A breaker with new parameters begins closed and with nothing counted."""
    trip(engine)
    file.write_text(policy(BREAKER), encoding="utf-8")
    engine.reload()

    assert engine.call("app:rates/quote", Script([1]).run) == 1
    assert engine.bind(QUOTE).breaker.state == "closed"


def test_failed_reload_keeps_the_old_policy(engine, file, sink):
    """A bad file raises, is recorded, and changes nothing."""
    before, binding = engine.snapshot(), engine.bind(QUOTE)
    file.write_text(policy("timeout: 4"), encoding="utf-8")
    with pytest.raises(PolicyError):
        engine.reload()
    [notice] = [made for made in sink.of(Notice) if made.code != "policy"]

    assert engine.bind(QUOTE) is binding
    assert engine.snapshot()["policy_hash"] == before["policy_hash"]
    assert engine.snapshot()["loaded_at"] == before["loaded_at"]
    assert notice.code == "reload-failed"
    assert "the old policy stays" in notice.message


def test_reload_of_a_missing_file_keeps_the_old_policy(engine, file, sink):
    """A file that is gone is an `OSError`, and the old policy stays live."""
    file.unlink()
    with pytest.raises(FileNotFoundError):
        engine.reload()

    assert engine.bind(QUOTE).policy.timeout_s == 9.0
    assert sink.of(Notice)[-1].code == "reload-failed"


def test_snapshot_is_json(engine):
    """A snapshot is plain data: modes, policy, and each scope with its evidence."""
    trip(engine)
    engine.call("app:other/thing", lambda _: 1)
    found = json.loads(json.dumps(engine.snapshot(), allow_nan=False))
    [other, rates] = found["scopes"]
    [breaker] = rates["breakers"]

    assert found["mode"] == found["file_mode"] == "enforce"
    assert other["scope"] == "app:target=other"
    assert breaker["state"] == "open"
    assert "failed" in breaker["evidence"]
    assert breaker["until_s"] > 0
    assert found["sink_failures"] == 0


def test_snapshot_of_every_state_is_json(engine):
    """Whatever a breaker was moved to, the snapshot stays plain data."""
    engine.call("app:rates/quote", lambda _: 1)
    control = engine.breaker("app:target=rates")
    for move in (control.force_open, control.disable, control.open, control.reset):
        move()

        assert json.loads(json.dumps(engine.snapshot(), allow_nan=False))


def test_close_is_harmless_twice(file):
    """Closing flushes the sinks, and again does no harm; calls go on."""
    closed = []

    class Closing(CollectingSink):
        def close(self):
            closed.append(self)

    with PolicyEngine.from_yaml(file, sinks=[Closing()]) as engine:
        engine.close()

    assert engine.closed
    assert len(closed) >= 1
    assert engine.call("app:rates/quote", lambda _: "still") == "still"


def test_failing_sink_is_counted(resilience_clock):
    """A sink that raises fails no call and shows in the snapshot."""

    class Broken:
        def emit(self, record):
            raise OSError

    engine = PolicyEngine(sinks=[Broken()], clock=resilience_clock)

    assert engine.call("app:rates/quote", lambda _: 1) == 1
    assert engine.snapshot()["sink_failures"] == 1


def test_policy_notices_are_recorded(sink):
    """What a policy's text should tell an operator is a record, once per load."""
    engine = PolicyEngine.from_text("version: 1\n", sinks=[sink])

    assert [*engine.table.notices] == [notice.message for notice in sink.of(Notice)]


def test_call_ids_are_unique(engine, sink):
    """Every call has an id of its own, and so has every engine."""
    other = PolicyEngine(sinks=[sink])
    for made in (engine, other, engine, other):
        made.call("app:rates/quote", lambda _: 1)

    assert len({ended.call_id for ended in sink.calls}) == 4


def test_same_seed_same_waits(resilience_clock):
    """Two engines with one seed draw the same jitter."""

    def waits(seed):
        sink = CollectingSink()
        engine = PolicyEngine(seed=seed, sinks=[sink], clock=resilience_clock)
        refused = ConnectionRefusedError()
        engine.call("app:rates/quote", Script([refused, refused, 1]).run)
        return [ended.wait_s for ended in sink.attempts]

    assert waits(7) == waits(7) != waits(8)


def test_scopes_are_bounded(resilience_clock):
    """Old scopes make room for new ones, and adapters ask for new bindings then."""
    engine = PolicyEngine(max_scopes=4, sinks=(), clock=resilience_clock)
    for number in range(9):
        resilience_clock.advance(1.0)
        engine.call(f"app:service-{number}/do", lambda _: 1)
    found = engine.snapshot()

    assert len(found["scopes"]) <= 4
    assert found["evicted_scopes"] == 5


def test_calls_through_one_scope_run_side_by_side(engine):
    """Ten threads that call through one scope are all inside at the same time."""
    barrier = threading.Barrier(10)
    results = []

    def wait_for_the_others(attempt):
        barrier.wait(timeout=20)
        return attempt.number

    def call():
        results.append(engine.call("app:rates/quote", wait_for_the_others))

    threads = [threading.Thread(target=call) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [1] * 10


def test_close_ends_calls_that_wait_in_the_timer(sink):
    """A call by callbacks that waits when its engine is closed ends as cancelled."""
    engine, ends = PolicyEngine(sinks=[sink]), []
    refused = Outcome("UNAVAILABLE", "transport", "no", pushback_s=5.0)
    driver = CallbackDriver(
        engine.new_call(engine.bind(QUOTE)),
        lambda _: None,
        lambda _: None,
        ends.append,
        engine,
    )
    driver.begin()
    driver.done(1, refused)
    engine.close()
    [end] = ends

    assert end.reason == "cancelled"
    assert [(1, "cancelled")] == [(c.attempts, c.reason) for c in sink.calls]


def test_a_sink_that_comes_later(engine):
    """A sink that is added gets the records of calls from then on, successes too."""
    late = CollectingSink()
    engine.call("app:rates/quote", lambda _: 1)
    engine.add_sink(late)
    engine.call("app:rates/quote", lambda _: 1)

    assert len(late.calls) == 1


def test_is_controlled(tmp_path):
    """An engine with a control file says that it must be looked at."""
    assert not PolicyEngine().is_controlled
    assert PolicyEngine(control_file=tmp_path / "control").is_controlled
