"""What a process says of itself is heard while it lives, and never after."""

import os

import pytest

from resilience.state import UnusableError
from resilience.state.held import HeldFile, said, sweep


ENDING = ".said"
# From 3.12 on a runner with threads of its own is warned of forks.
FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@pytest.fixture
def place(folder):
    """Where the files are."""
    return folder / f"resilience-{os.geteuid()}"


def forked(work):
    """Run *work* in a child that ends without clearing up."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def test_it_is_heard_until_it_is_removed(place):
    """All that is said is heard, by its ending; what is removed is gone."""
    one, two = HeldFile(ENDING, b"one"), HeldFile(ENDING, b"two")
    other = HeldFile(".other", b"other")

    assert sorted(said(ENDING)) == [b"one", b"two"]
    one.write(0, b"s")
    one.write(3, b"!")
    assert sorted(said(ENDING)) == [b"sne!", b"two"]
    one.remove()
    one.remove()
    one.write(0, b"x")
    assert [*said(ENDING)] == [b"two"]
    two.remove()
    other.remove()
    assert [*place.iterdir()] == []


def test_it_ends_with_its_owner(place):
    """Who forgets it says it no more."""
    one = HeldFile(ENDING, b"one")
    assert [*said(ENDING)] == [b"one"]
    del one

    assert [*place.iterdir()] == []


@FORKS
@pytest.mark.slow
def test_what_the_dead_have_said(place):
    """Of a process that was killed nothing is heard; a sweep removes that alone."""
    kept = []
    forked(lambda: kept.append(HeldFile(ENDING, b"dead")))
    one = HeldFile(ENDING, b"one")

    assert [*said(ENDING)] == [b"one"]
    assert len([*place.iterdir()]) == 2
    sweep(ENDING)
    assert [*said(ENDING)] == [b"one"]
    assert len([*place.iterdir()]) == 1
    one.remove()


@FORKS
@pytest.mark.slow
def test_a_child_leaves_its_parent_s(place):
    """To remove it in the child of a fork takes nothing from the parent."""
    one = HeldFile(ENDING, b"one")
    forked(one.remove)

    assert [*said(ENDING)] == [b"one"]
    one.remove()
    assert [*place.iterdir()] == []


def test_whatever_else_lies_there(place, tmp_path):
    """Links, pipes, folders and files open to others are passed by, unread."""
    one = HeldFile(ENDING, b"one")
    (tmp_path / "secret").write_bytes(b"secret")
    (place / f"link{ENDING}").symlink_to(tmp_path / "secret")
    (place / f"folder{ENDING}").mkdir()
    (place / f"open{ENDING}").write_bytes(b"open")
    (place / f"open{ENDING}").chmod(0o644)
    (place / f".draft{ENDING}").write_bytes(b"draft")
    os.mkfifo(place / f"pipe{ENDING}", 0o600)

    assert [*said(ENDING)] == [b"one"]
    sweep(ENDING)
    assert (tmp_path / "secret").exists()
    assert len([*place.iterdir()]) == 6
    one.remove()


def test_nowhere_to_say_it(folder, monkeypatch):
    """Where there is no folder, who speaks is told and nobody hears anything."""
    (folder / "file").write_text("")
    monkeypatch.setenv("RESILIENCE_STATE_DIR", str(folder / "file"))

    with pytest.raises(UnusableError):
        HeldFile(ENDING, b"one")
    assert [*said(ENDING)] == []
    sweep(ENDING)


def test_no_space_is_left(place, monkeypatch):
    """What could be written in part only is not said, and nothing of it stays."""
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: whole(file, data[:2], at))

    with pytest.raises(OSError, match="no space"):
        HeldFile(ENDING, b"one")
    assert [*place.iterdir()] == []
