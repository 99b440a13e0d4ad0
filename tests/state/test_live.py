"""Engines say on their host which policy they have, where they share with it."""

import gc
import json
import os

import pytest

from resilience import PolicyEngine
from resilience.core.scope import own_rows
from resilience.errors import PolicyError
from resilience.live import ENDING, NO_FILES
from resilience.state.held import said


POLICY = """\
version: 1
edition: "2026.11"
name: shop
state: {state}
all: {{attempt_timeout: {timeout}}}
"""
# From 3.12 on a runner with threads of its own is warned of forks.
FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@pytest.fixture
def place(folder):
    """Where the host's files are."""
    return folder / f"resilience-{os.geteuid()}"


@pytest.fixture
def file(tmp_path):
    """A policy file that can be written anew."""

    def write(state="host", timeout="1s", name="policy.yaml"):
        path = tmp_path / name
        path.write_text(POLICY.format(state=state, timeout=timeout))
        return path

    return write


@pytest.fixture
def engine(folder, resilience_clock):
    """Starts engines on a file; they end with the test."""
    made = []

    def start(*paths, **options):
        options = {"sinks": [], "clock": resilience_clock, **options}
        made.append(PolicyEngine.from_yaml(*paths, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()


def heard():
    """What engines say here."""
    return [json.loads(text) for text in said(ENDING)]


def call(engine):
    return engine.call("app:rates/quote", lambda _: 1)


def names(place):
    return sorted(path.name for path in place.glob(f"*{ENDING}"))


def test_at_load(engine, file):
    """A load is said at once: the policy, its files, the process, since when."""
    path = file()
    made = engine(path)
    (one,) = heard()

    assert one["files"] == [str(path)]
    assert one["pid"] == os.getpid()
    assert one["policy_hash"] == made.table.hash
    assert (one["name"], one["edition"]) == ("shop", "2026.11")
    assert (one["mode"], one["file_mode"]) == ("enforce", "enforce")
    assert one["loaded_at"] == made.loaded_at
    assert one["reload_failed"] is None


def test_state_of_the_process(engine, file, folder):
    """Whose policy shares nothing writes nothing, whatever happens to it."""
    path = file(state="process")
    made = engine(path)
    call(made)
    made.mode = "observe"
    made.reload()
    path.write_text("no: policy")
    with pytest.raises(PolicyError):
        made.reload()

    assert not [*folder.glob("resilience-*")]
    assert made.snapshot()["reload_failed"]["error"]


def test_a_simulation(folder):
    """Whose rows are given shares nothing, whatever the policy says."""
    with PolicyEngine.from_text(
        POLICY.format(state="host", timeout="1s"), sinks=[], rows=own_rows
    ) as made:
        call(made)

        assert not [*folder.iterdir()]


def test_reloads(engine, file):
    """A reload is said, and one that fails with its error beside the old policy."""
    path = file()
    made = engine(path)
    first = made.table.hash
    path.write_text("version: 1\nall: {timout: 3s}\n")
    with pytest.raises(PolicyError):
        made.reload()
    (one,) = heard()

    assert one["policy_hash"] == first
    assert "timout" in one["reload_failed"]["error"]
    assert one["reload_failed"] == made.snapshot()["reload_failed"]
    assert one["reload_failed"]["at"] >= made.loaded_at

    file(timeout="2s")
    made.reload()
    (one,) = heard()

    assert one["policy_hash"] == made.table.hash != first
    assert one["reload_failed"] is None

    file(state="process")
    made.reload()

    assert heard() == []


def test_a_long_error_is_cut(engine, file):
    """However much is wrong with a file, little of it is said."""
    path = file()
    made = engine(path)
    path.write_text("version: 1\nall: {\n" + "a: 1,\n" * 400 + "}")
    with pytest.raises(PolicyError):
        made.reload()
    (one,) = heard()

    assert len(one["reload_failed"]["error"]) == 2000


def test_modes(engine, file, tmp_path, resilience_clock):
    """What holds now is said, whether the program or the control file decides."""
    control = tmp_path / "control"
    made = engine(file(), control_file=control)
    made.mode = "observe"
    assert [one["mode"] for one in heard()] == ["observe"]

    control.write_text("mode: bypass\n")
    resilience_clock.advance(2)
    call(made)

    assert [(one["mode"], one["file_mode"]) for one in heard()] == [
        ("bypass", "enforce")
    ]


def test_calls_say_nothing(engine, file, place, resilience_clock):
    """No call writes such a file, nor touches the one that is there."""
    made = engine(file())
    (name,) = names(place)
    before = (place / name).stat()
    for number in range(50):
        resilience_clock.advance(0.1)
        made.call(f"app:rates{number}/quote", lambda _: 1)
    after = (place / name).stat()

    assert names(place) == [name]
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_its_end(engine, file, place):
    """Who is closed or gone says nothing any more, whatever is done with it."""
    path = file()
    made = engine(path)
    made.close()
    made.reload()
    made.mode = "observe"
    assert names(place) == []

    forgotten = PolicyEngine.from_yaml(path, sinks=[])
    assert len(names(place)) == 1
    del forgotten
    gc.collect()

    assert names(place) == []


def test_nowhere_to_say_it(engine, file, folder, monkeypatch):
    """Where nothing can be written all else goes on."""
    (folder / "file").write_text("")
    monkeypatch.setenv("RESILIENCE_STATE_DIR", str(folder / "file"))
    made = engine(file())
    made.reload()
    made.mode = "observe"

    assert call(made) == 1
    assert heard() == []


def test_relative_names(engine, file, tmp_path, monkeypatch):
    """Files are said by their whole path, as it was when they were read."""
    file()
    monkeypatch.chdir(tmp_path)
    made = engine("policy.yaml")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    made.mode = "observe"
    (one,) = heard()

    assert one["files"] == [str(tmp_path / "policy.yaml")]
    assert made.snapshot()["sources"] == ["policy.yaml"]


def test_policies_without_a_file(folder):
    """A policy that the program gives is said to come from no file."""
    text = POLICY.format(state="host", timeout="1s")
    with (
        PolicyEngine.from_text(text, sinks=[]) as one,
        PolicyEngine.from_dict({"name": "shop", "state": "host"}, sinks=[]) as two,
    ):
        found = {one["policy_hash"]: one["files"] for one in heard()}

        assert found == {one.table.hash: ["<text>"], two.table.hash: ["(data)"]}
        assert {each for files in found.values() for each in files} == NO_FILES


@FORKS
@pytest.mark.slow
def test_forks(engine, file):
    """A child says what it has with its first call, and its end is not its parent's.

    Until then it may be one that is about to run another program.
    """
    made = engine(file())
    call(made)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            silent = [one["pid"] for one in heard()]
            call(made)
            call(made)
            told = [silent, sorted(one["pid"] for one in heard()), os.getpid()]
            os.write(write, json.dumps(told).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    silent, both, pid = json.loads(os.read(read, 1000))
    os.close(read)
    os.close(write)

    assert silent == [os.getpid()]
    assert both == sorted([os.getpid(), pid])
    assert [one["pid"] for one in heard()] == [os.getpid()]
