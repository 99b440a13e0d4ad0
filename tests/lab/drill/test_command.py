"""`resilience drill`: exit codes, text for people, JSON for programs."""

import json
import re
import sys

import pytest


pytest.importorskip("click")
pytest.importorskip("rich")

from click.testing import CliRunner

from resilience.cli.commands import cli
from resilience.drilling import VARIABLE


pytestmark = pytest.mark.slow


@pytest.fixture
def drill(monkeypatch):
    """Runs the command in this process."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    return lambda *words: CliRunner().invoke(cli, ["drill", *words])


def test_it_passes(drill, write):
    """Exit 0 and a table: phases, figures, verdicts, and how to repeat it."""
    path = write()
    shown = drill(path)

    assert shown.exit_code == 0, shown.output
    assert re.search(r"injected: \d+ status", shown.output)
    assert re.search(r"baseline +100\.00%", shown.output)
    assert "holds success >= 0.95" in shown.output
    assert f"seed 1; again: RESILIENCE_DRILL={path} resilience drill" in shown.output


def test_it_fails(drill, write):
    """Exit 1 when something that was expected does not hold."""
    shown = drill(write(), "--assert", "injected < 0")

    assert shown.exit_code == 1
    assert "fails injected < 0" in shown.output


def test_json(drill, write):
    """The same for programs, with stable keys."""
    shown = drill(write(mode="bypass"), "--format", "json")
    found = json.loads(shown.stdout)

    assert shown.exit_code == 1
    assert sorted(found) == [
        "again",
        "codes",
        "command",
        "drill",
        "duration_s",
        "figures",
        "injected",
        "notes",
        "ok",
        "seed",
        "stopped",
        "title",
        "verdicts",
    ]
    assert found["verdicts"][0]["holds"] is False


def test_it_must_be_armed(drill, write, monkeypatch):
    """Exit 2, and what to set, where the environment does not name the file."""
    path = write()
    monkeypatch.delenv(VARIABLE)
    shown = drill(path)

    assert shown.exit_code == 2
    assert f"set RESILIENCE_DRILL={path}" in shown.output.replace("\n", "")


@pytest.mark.parametrize("form", ["text", "json"])
def test_problems_of_the_file(form, drill, tmp_path):
    """Exit 1 with every problem and its place."""
    path = tmp_path / "bad.yaml"
    path.write_text("version: 1\nname: bad\nduration: 5\nfaults: []\n")
    shown = drill(str(path), "--format", form)

    assert shown.exit_code == 1
    if form == "json":
        codes = [one["code"] for one in json.loads(shown.stdout)["problems"]]
        assert codes == ["bare-number", "out-of-range"]
    else:
        assert f"{path}:3:11: bare-number" in shown.output
        assert "2 problems" in shown.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.yaml"], "cannot use nowhere.yaml"),
        (["{path}", "--assert", "sucess > 1"], "did you mean success"),
        (["{path}", "--assert", "recovery <= soon"], "neither a number nor a time"),
    ],
)
def test_wrong_use(words, said, drill, write):
    """Exit 2 for what the command line itself gets wrong."""
    path = write()
    shown = drill(*(word.format(path=path) for word in words))

    assert shown.exit_code == 2
    assert said in shown.output


def test_nothing_to_run(drill, write, tmp_path):
    """Exit 2 for a drill that only a service can use."""
    path = write()
    text = re.sub(r"run: .*\n", "", (tmp_path / "drill.yaml").read_text())
    (tmp_path / "drill.yaml").write_text(text)
    shown = drill(path)

    assert shown.exit_code == 2
    assert "write `run` or `command`" in shown.output
