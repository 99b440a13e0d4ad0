"""A drill from its beginning to its verdict, in this process."""

import sys
from pathlib import Path

import pytest

from resilience.drilling import VARIABLE, armed
from resilience.drilling.expecting import ExpectationError
from resilience.lab import drill as lab


pytestmark = pytest.mark.slow
both = pytest.mark.parametrize(("run", "setup"), [("get", "start"), ("aget", "astart")])


@both
def test_with_a_policy_it_passes(run, setup, write):
    """What fails and is safe is repeated: the drill passes, and says what it did."""
    found = lab.run(write(f"shopmodule:{run}", setup=setup))

    assert found.is_ok, found
    assert found.injected["status"] > 3
    assert found.figures["amplification"] > 1.0
    assert found.figures["calls"] == 80


@both
def test_without_a_policy_it_fails(run, setup, write):
    """The same drill without a policy fails, by what the callers met."""
    found = lab.run(write(f"shopmodule:{run}", mode="bypass", setup=setup))

    assert not found.is_ok
    assert found.codes["UNAVAILABLE"] == found.injected["status"]
    assert found.figures["amplification"] == 1.0


@both
def test_what_sets_up_meets_no_fault(run, setup, write):
    """Set-up runs once, before the drill begins, and no fault hits it."""
    path = write(
        f"shopmodule:{run}", ratio=0.01, setup=setup, more="verify: shopmodule:count"
    )
    found = lab.run(path)

    assert found.figures["orders"] == 1
    assert found.figures["calls"] == 80


def test_numbered_operations(write):
    """A function that takes an argument is given the operation's number."""
    lab.run(write("shopmodule:numbered"))

    assert sorted(sys.modules["shopmodule"].numbers) == list(range(80))


@pytest.mark.parametrize(("verify", "orders"), [("count", 1), ("acount", 7)])
def test_verify_adds_figures(verify, orders, write):
    """What the drill's own check returns is judged like everything else."""
    path = write(more=f"verify: shopmodule:{verify}")
    found = lab.run(path, assertions=[f"orders <= {orders}", "orders > 9"])

    assert [one.holds for one in found.verdicts[1:]] == [True, False]


def test_verify_must_return_figures(write):
    """A check that returns anything but figures is wrong use."""
    with pytest.raises(ValueError, match="no mapping of figures"):
        lab.run(write(more="verify: shopmodule:text"))


def test_a_condition_stops_it(write):
    """The drill stops at once when its own condition holds, and does not pass."""
    path = Path(write(mode="bypass", ratio=1.0, more="stop_when: [success < 0.5]"))
    long = path.read_text().replace("duration: 400ms", "duration: 60s")
    path.write_text(long.replace("lasts: 200ms", "lasts: 50s"))
    found = lab.run(str(path))

    assert found.stopped.startswith("success < 0.5 holds")
    assert found.figures["calls"] < 60 * 200
    assert not found.is_ok


def test_ctrl_c_stops_it(write):
    """Ctrl-C ends the drill, whose verdict tells what was seen till then."""
    found = lab.run(write(setup="interrupt"))

    assert found.stopped == "Ctrl-C"
    assert found.notes == ("nothing was injected: the drill proves nothing",)


def test_a_drill_that_hits_nobody_fails(write):
    """A drill whose faults never hit says so, and does not pass."""
    path = Path(write())
    text = path.read_text().replace("shop.Cart/Get]", "shop.Cart/Other]")
    path.write_text(text)
    found = lab.run(str(path))

    assert found.figures["success"] == 1.0
    assert not found.is_ok


@pytest.mark.parametrize("named", [None, "another.yaml", "nowhere.yaml"])
def test_it_must_be_armed(named, write, monkeypatch, tmp_path):
    """A file alone starts nothing: the environment must name that very file."""
    path = write()
    (tmp_path / "another.yaml").write_text("version: 1")
    monkeypatch.delenv(VARIABLE)
    if named:
        monkeypatch.setenv(VARIABLE, str(tmp_path / named))

    with pytest.raises(lab.NotArmedError, match=f"set {VARIABLE}="):
        lab.run(path)


def test_it_is_disarmed_afterwards(write):
    """When a drill is over, nothing in this process is drilled any more."""
    path = write()
    lab.run(path)

    assert path not in armed._seams


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("nomodule:get", "there is no module nomodule"),
        ("shopmodule:nothing", "has no nothing"),
        ("shopmodule:POLICY", "is no function"),
    ],
)
def test_functions_that_are_not_there(run, said, write):
    """What cannot be called is told before anything is injected."""
    with pytest.raises(ValueError, match=said):
        lab.run(write(run))


def test_assertions_that_cannot_be_read(write):
    """An assertion of an unknown figure is refused before the drill."""
    with pytest.raises(ExpectationError, match="did you mean success"):
        lab.run(write(), assertions=["sucess >= 1"])
