"""Switching by hand: modes and who has the last word, the control file, breakers."""

import threading
from pathlib import Path

import pytest

from resilience import PolicyEngine, Rejected
from resilience.control import ControlFile, parse_mode, weaker
from resilience.core.record import BreakerChanged, Notice
from resilience.core.target import Target
from resilience.testing import CollectingSink, Script


QUOTE = Target(protocol="app", name="rates", service="rates", method="quote")
CART = Target(protocol="grpc", name="cart", service="shop.Cart", method="Get")


@pytest.fixture
def sink():
    return CollectingSink()


@pytest.fixture
def control(tmp_path):
    return tmp_path / "control"


@pytest.fixture
def engine(control, sink, resilience_clock):
    return PolicyEngine(control_file=control, sinks=[sink], clock=resilience_clock)


def modes(engine):
    return engine.mode, engine.bind(QUOTE).mode


def test_mode_of_the_file():
    """The file's root mode holds where nobody says otherwise."""
    engine = PolicyEngine.from_text("version: 1\nmode: observe\n")

    assert modes(engine) == ("observe", "observe")


@pytest.mark.parametrize("mode", ["enforce", "observe", "bypass"])
@pytest.mark.parametrize("written", ["enforce", "observe", "bypass"])
def test_environment_over_file(monkeypatch, mode, written):
    """RESILIENCE_MODE overrides the file's root mode, either way."""
    monkeypatch.setenv("RESILIENCE_MODE", mode)
    engine = PolicyEngine.from_text(f"version: 1\nmode: {written}\n")

    assert (mode, mode) == modes(engine)
    assert engine.snapshot()["file_mode"] == written


def test_wrong_environment_is_an_error(monkeypatch):
    """A mode that is none is refused at start, with the nearest one."""
    monkeypatch.setenv("RESILIENCE_MODE", "obsrve")
    with pytest.raises(ValueError, match=r"got 'obsrve'; did you mean 'observe'\?"):
        PolicyEngine()


@pytest.mark.parametrize("mode", ["enforce", "observe", "bypass"])
def test_attribute_over_environment(monkeypatch, mode):
    """What is set at run time replaces what was said at start; None: the file's."""
    monkeypatch.setenv("RESILIENCE_MODE", "bypass")
    engine = PolicyEngine.from_text("version: 1\nmode: observe\n")
    engine.mode = mode

    assert (mode, mode) == modes(engine)

    engine.mode = None

    assert modes(engine) == ("observe", "observe")


def test_wrong_attribute_changes_nothing(engine):
    """A mode that is none raises, and the mode stays."""
    with pytest.raises(ValueError, match="mode is one of enforce, observe, bypass"):
        engine.mode = "off"

    assert engine.mode == "enforce"


SECTIONS = """
version: 1
mode: {root}
grpc: {{all: {{mode: {section}}}, targets: {{cart: {{mode: {target}}}}}}}
"""


@pytest.mark.parametrize(
    ("root", "section", "target", "expected"),
    [
        ("enforce", "observe", "enforce", "enforce"),
        ("enforce", "enforce", "observe", "observe"),
        ("enforce", "enforce", "bypass", "bypass"),
        ("observe", "observe", "observe", "observe"),
    ],
)
def test_most_specific_mode_wins(root, section, target, expected):
    """Of the modes written in a file, that of the target beats that of the section."""
    text = SECTIONS.format(root=root, section=section, target=target)

    assert PolicyEngine.from_text(text).bind(CART).mode == expected


@pytest.mark.parametrize("override", ["observe", "bypass"])
def test_an_override_caps_every_section(override):
    """Nothing acts more strongly than the override says, whatever the file says."""
    text = SECTIONS.format(root="observe", section="enforce", target="enforce")
    engine = PolicyEngine.from_text(text)
    engine.mode = override

    assert engine.bind(CART).mode == override


def test_an_override_does_not_strengthen_a_section():
    """A target that the file bypasses stays bypassed under `enforce`."""
    text = SECTIONS.format(root="enforce", section="enforce", target="bypass")
    engine = PolicyEngine.from_text(text)
    engine.mode = "enforce"

    assert engine.bind(CART).mode == "bypass"


@pytest.mark.parametrize("mechanism", ["breaker", "retry", "retry_budget"])
def test_mode_of_a_mechanism(mechanism):
    """One mechanism may observe while the others act."""
    engine = PolicyEngine.from_dict(
        {"version": 1, "all": {mechanism: {"mode": "observe"}}}
    )
    binding = engine.bind(QUOTE)
    acts = {
        "breaker": binding.breaker_acts,
        "retry": binding.retry_acts,
        "retry_budget": binding.budget_acts,
    }

    assert binding.mode == "enforce"
    assert {name: name != mechanism for name in acts} == acts


@pytest.mark.parametrize("override", ["observe", "bypass"])
def test_no_mechanism_acts_under_an_override(override):
    """Under a weaker override no mechanism acts, even one that is written to."""
    engine = PolicyEngine.from_dict(
        {"version": 1, "all": {"breaker": {"mode": "enforce"}}}
    )
    engine.mode = override
    found = engine.bind(QUOTE)

    assert not any((found.breaker_acts, found.retry_acts, found.budget_acts))


def test_observing_changes_nothing(engine, sink):
    """Under observe a failure is native, and what we would have done is recorded."""
    engine.mode = "observe"
    with pytest.raises(ConnectionRefusedError):
        engine.call("app:rates/quote", Script([ConnectionRefusedError(), 1]).run)
    [decided] = sink.observed

    assert (decided.mechanism, decided.decision) == ("retry", "retry")
    assert [(c.attempts, c.reason) for c in sink.calls] == [(1, "native")]


def test_bypass_asks_nobody(engine, sink):
    """Under bypass the function is called barely: no record, no note."""
    engine.mode = "bypass"
    with pytest.raises(ConnectionRefusedError) as caught:
        engine.call("app:rates/quote", Script([ConnectionRefusedError(), 1]).run)

    assert sink.records == []
    assert not hasattr(caught.value, "__notes__")


# -- the control file ----------------------------------------------------------------


def test_control_file_is_seen_by_the_next_calls(
    engine, control, sink, resilience_clock
):
    """A file written at run time switches within a second, on the call path."""
    engine.call("app:rates/quote", lambda _: 1)
    control.write_text("mode: bypass\n", encoding="utf-8")
    resilience_clock.advance(1.0)
    threads = {*threading.enumerate()}
    sink.records.clear()
    engine.call("app:rates/quote", lambda _: 1)

    assert engine.mode == "bypass"
    assert [notice.code for notice in sink.records] == ["mode-changed"]
    assert {*threading.enumerate()} <= threads

    control.unlink()
    resilience_clock.advance(1.0)
    engine.call("app:rates/quote", lambda _: 1)

    assert engine.mode == "enforce"


def test_control_file_is_looked_at_once_a_second(
    engine, control, resilience_clock, monkeypatch
):
    """However many calls there are, the file is looked at once a second."""
    looks = []
    monkeypatch.setattr(
        ControlFile, "look", lambda _: (looks.append(1), (False, ""))[1]
    )
    for _ in range(25):
        engine.call("app:rates/quote", lambda _: 1)
        resilience_clock.advance(0.1)

    assert len(looks) == 3


def test_control_file_over_everything(engine, control, resilience_clock, monkeypatch):
    """The control file has the last word over the attribute."""
    engine.mode = "observe"
    control.write_text("mode: bypass", encoding="utf-8")
    engine.look()

    assert modes(engine) == ("bypass", "bypass")


def test_control_file_from_the_environment(control, monkeypatch):
    """RESILIENCE_CONTROL_FILE names the file where the program does not."""
    control.write_text("mode: bypass", encoding="utf-8")
    monkeypatch.setenv("RESILIENCE_CONTROL_FILE", str(control))
    engine = PolicyEngine()
    engine.look()

    assert engine.mode == "bypass"


@pytest.mark.parametrize(
    "text",
    ["mode: byypass", "bypass everything", "timeout: 3s", "\xff\xfe", "mode:x:y"],
)
def test_bad_control_file_changes_nothing(
    engine, control, sink, resilience_clock, text
):
    """A file that cannot be understood is said once; the mode stays."""
    control.write_text("mode: observe", encoding="utf-8")
    engine.look()
    sink.records.clear()
    control.write_bytes(text.encode("latin-1"))
    for _ in range(3):
        resilience_clock.advance(1.0)
        engine.call("app:rates/quote", lambda _: 1)
    [notice] = sink.of(Notice)

    assert engine.mode == "observe"
    assert notice.code == "control-file"
    assert "mode stays observe" in notice.message


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("mode: bypass", "bypass"),
        ("# by kim, 3 am\n\nmode: 'observe'  # for now\n", "observe"),
        ("bypass\n", "bypass"),
        ("", None),
        ("mode:\n", None),
        ("# mode: bypass\n", None),
    ],
)
def test_forms_of_the_control_file(control, text, mode):
    """One line says the mode; comments, quotes and an empty file are fine."""
    control.write_text(text, encoding="utf-8")
    file = ControlFile(control)

    assert (mode is not None, "") == file.look()
    assert file.mode == mode


def test_unreadable_control_file(tmp_path):
    """A directory in the file's place changes nothing and raises nothing."""
    file = ControlFile(tmp_path)
    changed, problem = file.look()

    assert not changed
    assert "mode stays None" in problem


# -- breakers ------------------------------------------------------------------------


@pytest.fixture
def breaker(engine):
    engine.call("app:rates/quote", lambda _: 1)
    return engine.breaker("app:target=rates")


def test_force_open(engine, breaker, sink, resilience_clock):
    """A breaker forced open rejects everything, for ever, until it is reset."""
    breaker.force_open()
    resilience_clock.advance(3600.0)
    with pytest.raises(Rejected) as caught:
        engine.call("app:rates/quote", lambda _: 1)

    assert (
        caught.value.reason,
        caught.value.scope,
    ) == ("breaker-open", "app:target=rates")
    assert breaker.state == "forced-open"

    breaker.reset()

    assert engine.call("app:rates/quote", lambda _: 1) == 1
    assert [c.new for c in sink.of(BreakerChanged)] == ["forced-open", "closed"]


def test_disable(engine, breaker):
    """A disabled breaker lets everything through, whatever happens."""
    breaker.disable()
    for _ in range(50):
        with pytest.raises(ConnectionRefusedError):
            engine.call("app:rates/quote", Script([ConnectionRefusedError()] * 3).run)

    assert breaker.state == "disabled"


def test_open_recovers_by_itself(engine, breaker, resilience_clock):
    """A breaker opened by hand lets more and more pass as if it had tripped."""
    breaker.open()
    with pytest.raises(Rejected) as caught:
        engine.call("app:rates/quote", lambda _: 1)
    assert 0 < caught.value.retry_after_s < 5
    resilience_clock.advance(5.0)

    assert engine.call("app:rates/quote", lambda _: 1) == 1
    assert breaker.state == "closed"


def test_unknown_scope(engine, breaker):
    """A scope that no call went to is an error that names the nearest."""
    with pytest.raises(KeyError, match=r"'app:target=rate'; known: app:target=rates"):
        engine.breaker("app:target=rate")
    with pytest.raises(KeyError, match="none yet"):
        PolicyEngine().breaker("x")


def test_words():
    """Modes are ordered by how much they act; no word has no say."""
    assert weaker("enforce", "observe") == weaker("observe", "enforce") == "observe"
    assert weaker("bypass", "observe") == "bypass"
    assert parse_mode(None) is parse_mode("") is None


def test_paths(control):
    """A path object names the file as well as text does."""
    assert ControlFile(Path(control)).path == str(control)
