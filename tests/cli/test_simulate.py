"""`resilience simulate`: a gate for a user's CI, with a report for people."""

import json
import os
import re
import subprocess
import sys

import pytest


pytest.importorskip("click")
pytest.importorskip("rich")
pytest.importorskip("simpy")
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from click.testing import CliRunner

from resilience.cli.commands import cli


SCENARIO = """
version: 1
name: mine
title: A short outage
load: 100
duration: 10s
topologies: [{hosts: 1, processes: 4}]
server: {workers: 4}
faults:
  - {kind: refuse, at: 2s, lasts: 2s}
"""
NO_RETRY = "version: 1\nname: none\nall: {retry: off, breaker: off}\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.yaml").write_text(SCENARIO)
    (tmp_path / "policy.yaml").write_text(NO_RETRY)
    return tmp_path


@pytest.fixture
def simulate(folder, monkeypatch):
    """Runs the command in the folder, in this process and on one core."""
    monkeypatch.chdir(folder)

    def run(*arguments, seeds="1"):
        words = ["simulate", *arguments, "--seeds", seeds, "--workers", "1"]
        monkeypatch.setattr(sys, "argv", ["resilience", *words])
        return CliRunner().invoke(cli, words)

    return run


def test_table_and_how_to_repeat_it(simulate):
    """People get a table of ours and the rivals, the seeds, and the command."""
    shown = simulate("mine.yaml", "--policy", "policy.yaml", "--against", "none,grpc")

    assert 0 == shown.exit_code, shown.output
    assert all(word in shown.output for word in ("mine", "ours", "none", "grpc", "1x4"))
    assert "resilience simulate mine.yaml --policy policy.yaml" in shown.output


def test_assertions_decide_the_exit_code(simulate):
    """0 where all hold; 1 where one does not, with the figures of the run."""
    good = simulate(
        "mine.yaml", "--policy", "policy.yaml", "--assert", "recovery <= 2s"
    )
    bad = simulate("mine.yaml", "--policy", "policy.yaml", "--assert", "goodput >= .99")

    assert 0 == good.exit_code, good.output
    assert 1 == bad.exit_code
    assert re.search(
        r"fails goodput >= \.99\n +ours 1x4 .* seed 1: 0\.\d+ against 0\.99", bad.output
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mine.yaml", "--assert", "goodput is high"], "has not the form"),
        (["mine.yaml", "--assert", "godput >= 1"], "did you mean goodput"),
        (["mine.yaml", "--against", "hope"], "no such policy to compare with: hope"),
        (["mine.yaml", "--topology", "10"], "hosts x processes"),
        (["nowhere.yaml"], "cannot use nowhere.yaml"),
        (["mine.yaml", "--policy", "nowhere.yaml"], "cannot use nowhere.yaml"),
        ([], "name a scenario"),
    ],
)
def test_wrong_use(simulate, words, said):
    """Wrong use exits with 2 and says what would be right."""
    shown = simulate(*words)

    assert 2 == shown.exit_code
    assert said in shown.output


def test_wrong_seeds(simulate):
    """Seeds are numbers."""
    assert 2 == simulate("mine.yaml", seeds="one").exit_code


def test_problems_of_files(simulate, folder):
    """A scenario or a policy that cannot be used exits with 1, with the place."""
    (folder / "bad.yaml").write_text("version: 1\nname: x\nlaod: 3\n")
    (folder / "worse.yaml").write_text("version: 1\nall: {retires: 3}\n")
    scenario = simulate("bad.yaml")
    policy = simulate("mine.yaml", "--policy", "worse.yaml")
    as_data = simulate("bad.yaml", "--format", "json")

    assert (1, 1, 1) == (scenario.exit_code, policy.exit_code, as_data.exit_code)
    assert "bad.yaml:3:1" in scenario.output
    assert "worse.yaml:2" in policy.output
    assert "unknown-key" == json.loads(as_data.output)["problems"][0]["code"]


def test_json_is_stable(simulate):
    """Programs get stable keys, and the same bytes each time."""
    words = ("mine.yaml", "--format", "json", "--against", "none")
    first, second = (simulate(*words, seeds="1,2").output for _ in range(2))
    found = json.loads(first)

    assert first == second
    assert {
        "assertions",
        "command",
        "ok",
        "repeat",
        "rows",
        "safe_load",
        "scenario",
        "seeds",
        "title",
        "written",
    } == set(found)
    assert [1, 2] == found["seeds"]
    assert {"policy", "topology", "load", "mean", "worst", "runs"} == set(
        found["rows"][0]
    )


def test_report_is_one_file(simulate, folder):
    """The report holds its pictures, fetches nothing and escapes what others wrote."""
    text = SCENARIO.replace("A short outage", "'<script>alert(1)</script>'")
    (folder / "mine.yaml").write_text(text)
    shown = simulate("mine.yaml", "--report", "out.html", "--plots", "pictures")
    html = (folder / "out.html").read_text()

    assert 0 == shown.exit_code, shown.output
    assert 5 == html.count("data:image/png;base64,")
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert 5 == len([*(folder / "pictures").glob("mine-*.png")])


def test_several_policies(simulate, folder):
    """Several policy files are compared with each other under their names."""
    (folder / "builtin.yaml").write_text("version: 1\n")
    shown = simulate("mine.yaml", "--policy", "policy.yaml", "--policy", "builtin.yaml")

    assert 0 == shown.exit_code, shown.output
    assert "policy" in shown.output
    assert "builtin" in shown.output


def test_list(simulate):
    """The built-in scenarios can be listed."""
    shown = simulate("--list")

    assert 0 == shown.exit_code
    assert "safe-load" in shown.output


@pytest.mark.parametrize(
    ("library", "words"), [("simpy", []), ("matplotlib", ["--plots", "pictures"])]
)
def test_without_its_extra(library, words, folder):
    """Without its libraries the command says how to install them, and exits with 2."""
    code = (
        f"import sys; sys.modules[{library!r}] = None; sys.argv[1:] = "
        f"{['simulate', 'S1a', *words]}\n"
        "from resilience.cli.main import main\nmain()"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert 2 == shown.returncode
    assert "resilience-middleware[sim]" in shown.stderr
