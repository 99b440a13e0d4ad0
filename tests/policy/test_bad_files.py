"""Each file under `bad` gives exactly the diagnostics written beside it."""

from pathlib import Path

import pytest

from resilience import policy
from resilience.errors import PolicyError


BAD = Path(__file__).parent / "bad"
FILES = sorted(BAD.glob("*.yaml"))


def diagnostics(path: Path) -> str:
    """Return what a user is told about one file."""
    with pytest.raises(PolicyError) as caught:
        policy.load([(path.name, path.read_bytes())])
    return f"{caught.value}\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_bad_file(path):
    """A bad file is refused with every problem in file order, word for word."""
    expected = path.with_suffix(".expected").read_text(encoding="utf-8")

    assert expected == diagnostics(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_problems_are_in_file_order(path):
    """Problems come in the order of the file, each with a code and a place."""
    with pytest.raises(PolicyError) as caught:
        policy.load([(path.name, path.read_bytes())])
    found = caught.value.problems

    assert sorted((p.line, p.column) for p in found) == [
        (p.line, p.column) for p in found
    ]
    assert all(p.line >= 1 and p.column >= 1 and p.code for p in found)


def test_there_are_enough():
    """At least forty kinds of mistake are pinned."""
    assert len(FILES) >= 40
