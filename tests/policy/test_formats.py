"""The reading that scenarios and drills share: each by the keys of its own format."""

import pytest

from resilience.drilling import reading as drills
from resilience.errors import PolicyError
from resilience.lab.simulate import reading as scenarios


DRILL = """\
version: 1
name: slow
duration: 4s
faults:
  - {kind: delay, ratio: 0.5, lasts: 1s, targts: [cart]}
"""
SCENARIO = """\
version: 1
name: slow
duration: 4s
safe_load: {loads: [0.5], heals_withn: 3s}
"""


@pytest.mark.parametrize(
    ("read", "text", "line", "path", "hint"),
    [
        (drills.read, DRILL, 5, "faults[0].targts", "write `targets: [cart]`"),
        (
            scenarios.read,
            SCENARIO,
            4,
            "safe_load.heals_withn",
            "write `heals_within: 3s`",
        ),
    ],
    ids=["drill", "scenario"],
)
def test_unknown_key_inside(read, text, line, path, hint):
    """A wrong key gets its place and the nearest key of the map that it stands in."""
    with pytest.raises(PolicyError) as caught:
        read("x.yaml", text)
    (found,) = [one for one in caught.value.problems if one.code == "unknown-key"]

    assert (line, path, hint) == (found.line, found.path, found.hint)
