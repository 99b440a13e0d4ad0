"""The host's file: made whole, replaced when it is damaged, left when it cannot be."""

import os
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resilience.state import layout
from resilience.state.file import open_state
from resilience.state.peek import peek
from resilience.state.place import UnusableError


def path_of(folder, name="shop"):
    return folder / f"resilience-{os.geteuid()}" / f"{name}.v{layout.VERSION}"


def live(each, first: float, ticks: int = 10):
    for at in range(ticks):
        each.calls(first + 0.1 * at + 0.05, good=1)


def test_only_its_user_can_read_it(process, folder):
    """The folder and the file are closed to all others."""
    live(process(), 100.0)
    path = path_of(folder)

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_what_is_not_used_takes_no_memory(process, folder):
    """256 places of 64 rows are there; one process with one scope takes few pages."""
    live(process(), 100.0)
    found = path_of(folder).stat()

    assert found.st_size == layout.SIZE
    assert found.st_blocks * 512 < 300_000


DAMAGES = {
    "truncated": lambda path: os.truncate(path, 5000),
    "empty": lambda path: os.truncate(path, 0),
    "scribbled over": lambda path: write(path, 0, b"x" * 4096),
    "another version": lambda path: write(path, 8, b"\2\0"),
    "another boot": lambda path: write(path, 24, b"12345678"),
    "open to others": lambda path: path.chmod(0o666),
    "gone": lambda path: path.unlink(),
    "a link": lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path, 0o600)),
}


def write(path, at, data):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_before_it_is_opened(process, folder, damage):
    """A file that cannot be right is replaced, and who comes next finds a good one."""
    live(process(), 100.0)
    DAMAGES[damage](path_of(folder))
    one, other = process(), process()
    live(one, 110.0, 3)
    live(other, 110.0, 12)
    live(one, 111.0, 3)

    told = [] if damage == "gone" else ["host-state-replaced"]
    assert [code for code, _ in one.told] == told
    assert other.told == []
    assert (one.host.processes, other.host.processes) == (2, 2)


@pytest.mark.parametrize(
    "damage", [name for name in DAMAGES if name != "open to others"]
)
def test_damage_under_those_who_use_it(process, folder, damage):
    """Who uses it goes on; all meet again in the new one, which is said once."""
    one, other = process(), process()
    for first in range(100, 110):
        live(one, first)
        live(other, first)
        if first in {102, 105}:
            DAMAGES[damage](path_of(folder))

    assert (one.host.processes, other.host.processes) == (2, 2)
    assert one.host._member.file.identity == other.host._member.file.identity
    told = [*one.told, *other.told]
    assert 1 - (damage == "gone") <= len(told) <= 2, told
    assert {code for code, _ in told} <= {"host-state-replaced"}


def test_a_scribbled_slot_is_left(process, folder):
    """Who finds its own slot overwritten takes another one."""
    one, other = process(), process()
    live(one, 100.0)
    live(other, 100.0)
    member = one.host._member
    member.file.cells[layout.head_at(member.slot) + layout.NONCE] = 7
    live(one, 101.0, 20)
    live(other, 102.0, 10)

    assert one.host._member is not member
    assert other.host.processes == 2


@pytest.mark.parametrize("problem", ["missing", "not a folder", "link", "full"])
def test_no_place_for_it(process, folder, monkeypatch, problem):
    """Where no file can be, each process keeps its own state; that is said once."""
    place = folder / "place"
    if problem == "missing":
        monkeypatch.setenv("RESILIENCE_STATE_DIR", str(place))
    elif problem == "not a folder":
        place.write_text("")
        monkeypatch.setenv("RESILIENCE_STATE_DIR", str(place))
    elif problem == "link":
        (folder / f"resilience-{os.geteuid()}").symlink_to("/tmp")
    else:
        monkeypatch.setattr(os, "pwrite", no_space)
    one = process()
    for first in range(100, 200, 10):
        live(one, first)

    assert [code for code, _ in one.told] == ["host-state"]
    assert "in the process" in one.told[0][1]
    assert one.host.processes == 1
    assert one.breaker()._rows.total(1000 + 900 + 5).ok == 1


def no_space(*_):
    raise OSError(28, "No space left on device")


def test_too_many_processes(process, monkeypatch):
    """Who finds no free place keeps its own state, and says so."""
    monkeypatch.setattr("resilience.state.locks.SLOTS", 2)
    three = [process() for _ in range(3)]
    for each in three:
        live(each, 100.0)

    assert [len(each.told) for each in three] == [0, 0, 1]
    three[0].host.close()
    live(three[2], 140.0)
    assert three[2].host._member is not None


def test_half_made_files_are_swept_away(process, folder):
    """What a killed process left half-made is removed after a while."""
    home = folder / f"resilience-{os.geteuid()}"
    home.mkdir(mode=0o700)
    for name, age in ((".shop.v1.old", 1000), (".shop.v1.new", 0)):
        (home / name).touch(mode=0o600)
        seen = (home / name).stat().st_mtime - age
        os.utime(home / name, (seen, seen))
    live(process(), 100.0)

    assert {found.name for found in home.iterdir()} == {"shop.v1", ".shop.v1.new"}


def test_another_user_s_folder(process, folder, monkeypatch):
    """A folder of somebody else is not used."""
    (folder / "resilience-12345").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(UnusableError, match="belongs to user"):
        open_state("shop")


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    where=st.lists(
        st.tuples(
            st.sampled_from(["header", "heads", "tables", "rows"]),
            st.integers(0, 2**31),
            st.binary(min_size=1, max_size=64),
        ),
        max_size=8,
    ),
    size=st.sampled_from([None, None, None, 0, 4096, layout.SIZE - 8]),
)
def test_scribbles_never_raise(process, folder, where, size):
    """Whatever is written over it, calls go on and nothing hangs."""
    one, other = process(), process()
    live(one, 100.0)
    live(other, 100.0)
    path = path_of(folder)
    begins = {
        "header": (0, layout.HEADS_AT),
        "heads": (layout.HEADS_AT, layout.TABLES_AT),
        "tables": (layout.TABLES_AT, layout.ROWS_AT),
        "rows": (layout.ROWS_AT, layout.ROWS_AT + 8 * 512),
    }
    for part, offset, data in where:
        first, end = begins[part]
        write(path, (first + offset % (end - first)) * 8, data)
    if size is not None:
        os.truncate(path, size)
    peek("shop", 101.0)
    for at in range(40):
        now = 101 + 0.1 * at
        one.calls(now, good=1, bad=at % 3)
        other.calls(now, good=1, bad=at % 3)
        assert 0 < one.breaker().fraction <= 1
    one.host.close()
    other.host.close()
