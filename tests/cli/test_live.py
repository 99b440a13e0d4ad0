"""`resilience explain --live`: which policy the processes of this host have."""

import json
import os
import re

import pytest
from click.testing import CliRunner

from resilience import PolicyEngine
from resilience.cli import live
from resilience.cli.commands import cli
from resilience.errors import PolicyError
from resilience.live import ENDING


POLICY = """\
version: 1
edition: "2026.11"
name: {name}
state: host
all: {{attempt_timeout: {timeout}, retry: off}}
"""
ENGINE = {"pid", "loaded_at", "reload_failed"}
KEYS = {
    "name",
    "hash",
    "edition",
    "mode",
    "file_mode",
    "files",
    "engines",
    "hash_now",
    "is_current",
    "problem",
    "explanation",
}


@pytest.fixture
def file(tmp_path):
    """A policy file that can be written anew."""

    def write(timeout="1s", name="shop"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(POLICY.format(name=name, timeout=timeout))
        return path

    return write


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """Starts engines on a file, on a host of this test's own."""
    monkeypatch.setenv("RESILIENCE_STATE_DIR", str(tmp_path))
    made = []

    def start(path):
        made.append(PolicyEngine.from_yaml(path, sinks=[]))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def forge(engine, file, tmp_path):
    """Replaces what an engine has said, where the engine holds the file."""
    engine(file())
    (path,) = tmp_path.glob(f"*/*{ENDING}")

    def replace(change):
        said = change(path.read_bytes())
        path.write_bytes(said)

    return replace


def run(*words):
    return CliRunner().invoke(cli, ["explain", "--live", *words])


def data(*words):
    result = run(*words, "--format", "json")
    return result.exit_code, json.loads(result.output)


def test_nothing_is_live(engine):
    """A host on which nobody says anything is told what to do."""
    result = run()

    assert result.exit_code == 1
    assert "state: host" in result.output
    assert "engine.snapshot()" in result.output
    assert data() == (
        1,
        {"command": "explain", "live": True, "policies": [], "differences": []},
    )


def test_what_is_live(engine, file):
    """Each policy is shown with hash, edition, mode and files, and who has it."""
    path = file()
    made = [engine(path), engine(path)]
    result = run()
    head, where, now, *whose = result.output.splitlines()

    assert result.exit_code == 0
    assert head == f"policy shop {made[0].table.hash}, edition 2026.11, mode enforce"
    assert (where, now) == (f"  {path}", "  the file still says this")
    assert len(whose) == 2
    assert all(one.startswith(f"  process {os.getpid()}, since 20") for one in whose)

    code, found = data()
    (one,) = found["policies"]

    assert code == 0
    assert one.keys() == KEYS
    assert [each.keys() for each in one["engines"]] == [ENGINE] * 2
    assert [each["loaded_at"] for each in one["engines"]] == [
        each.loaded_at for each in made
    ]
    assert (one["hash"], one["hash_now"]) == (made[0].table.hash,) * 2
    assert one["is_current"]
    assert one["explanation"] is None


def test_a_method(engine, file):
    """With a method, what holds for it in each policy that is live, as it is live."""
    shop, store = engine(file()), engine(file("2s", name="store"))
    store.mode = "observe"
    result = run("shop.Cart/Get")
    _, found = data("shop.Cart/Get", "--target", "cart")
    values = [
        {leaf["path"]: leaf["value"] for leaf in one["explanation"]["values"]}
        for one in found["policies"]
    ]

    assert result.exit_code == 0
    assert result.output.count("attempt_timeout") == 2
    assert f"policy shop {shop.table.hash}" in result.output
    assert "mode observe (the file says enforce)" in result.output
    assert [one["attempt_timeout"] for one in values] == ["1s", "2s"]
    assert [one["mode"] for one in values] == ["enforce", "observe"]
    assert [one["explanation"]["target"] for one in found["policies"]] == ["cart"] * 2


def test_the_file_has_changed(engine, file):
    """What a file says that nobody has loaded is not taken for what is live."""
    made = engine(file())
    live = made.table.hash
    file("2s")
    result = run("shop.Cart/Get")
    code, found = data("shop.Cart/Get")
    (one,) = found["policies"]

    assert result.exit_code == code == 1
    assert one["explanation"] is None
    assert "attempt_timeout" not in result.output
    made.reload()
    assert (
        f"the file has changed since and gives {made.table.hash}; "
        f"the live one is {live}, until a reload\n"
    ) in result.output
    assert "shop.Cart/Get is not explained" in result.output
    assert (one["hash"], one["hash_now"]) == (live, made.table.hash)
    assert run("shop.Cart/Get").exit_code == 0


def test_comments_change_nothing(engine, file):
    """A file that was written anew and says the same is the one that is live."""
    path = file()
    engine(path)
    path.write_text(f"# a remark\n{path.read_text()}")

    assert run("shop.Cart/Get").exit_code == 0


def test_files_that_cannot_be_read(engine, file):
    """Why it cannot be said what the files give is said; what is live is shown."""
    path = file()
    engine(path)
    path.write_text("version: 1\nall: {timout: 3s}\n")
    assert f"not compared with a file: {path}:2: " in run().output

    path.unlink()
    result = run()

    assert f"not compared with a file: cannot read {path}: " in result.output
    assert result.exit_code == 0
    assert run("s3.PutObject").exit_code == 1

    with PolicyEngine.from_text(POLICY.format(name="text", timeout="1s"), sinks=[]):
        assert "not compared with a file: the program gave it" in run().output


def test_who_has_not_reloaded(engine, file):
    """Engines of one name that differ are named, and which of them is behind."""
    path = file()
    behind, ahead = engine(path), engine(path)
    engine(file(name="store"))
    file("2s")
    ahead.reload()
    pid = os.getpid()
    code, found = data()

    assert code == 1
    assert [one["name"] for one in found["policies"]] == ["shop", "shop", "store"]
    (said,) = found["differences"]
    assert said == (
        f"the engines of shop differ: {behind.table.hash} in process {pid}, "
        f"not reloaded; {ahead.table.hash} in process {pid}"
    )
    assert said in run().output

    behind.reload()
    behind.mode = "observe"
    _, found = data()

    (said,) = found["differences"]
    assert said == (
        f"the engines of shop differ: {ahead.table.hash} in process {pid}, "
        f"mode enforce; {ahead.table.hash} in process {pid}, mode observe"
    )
    behind.mode = None
    assert data()[0] == 0


def test_a_reload_that_failed(engine, file):
    """The last reload that failed stands with its process, on one line."""
    path = file()
    made = engine(path)
    whole = path.read_text()
    path.write_text("version: 1\nall: {timout: 3s}\n")
    with pytest.raises(PolicyError):
        made.reload()
    path.write_text(whole)
    result = run()
    failure = result.output.splitlines()[-1]

    assert failure.startswith("    its reload failed at 20")
    assert "timout" in failure
    assert "timout" in data()[1]["policies"][0]["engines"][0]["reload_failed"]["error"]


def test_of_many_some_are_told(engine, file, monkeypatch):
    """Of many engines some are shown, those in trouble first, and how many more are."""
    monkeypatch.setattr(live, "_MOST_ENGINES", 1)
    path = file()
    troubled, _ = engine(path), engine(path)
    whole = path.read_text()
    path.write_text("no: policy\n")
    with pytest.raises(PolicyError):
        troubled.reload()
    path.write_text(whole)
    _, failure, more = run().output.splitlines()[-3:]

    assert failure.startswith("    its reload failed at 20")
    assert more == "  and 1 more (--format json)"


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b'{"v": 1}', b'{"v": 0}', b"\xff", b"null", b"[" * 9999],
)
def test_what_makes_no_sense_is_left_out(forge, text):
    """Whatever stands in such a file, the command goes on."""
    forge(lambda said: text or said.replace(b'"said_at": ', b'"said_at": NaN, "x": '))

    assert data() == (
        1,
        {"command": "explain", "live": True, "policies": [], "differences": []},
    )


def test_names_speak_to_nobody_s_terminal(forge):
    """What an engine says of itself is escaped."""
    forge(lambda said: said.replace(b'"shop"', b'"\\u001b[31m\\n"'))
    result = run()

    assert "\x1b" not in result.output
    assert "policy \\x1b[31m\\n " in result.output


@pytest.mark.parametrize("name", [b"/\\\\ud800", b"/a\\\\u0000b", b"/dev/zero", b"/"])
def test_files_that_are_none(forge, name):
    """Whatever an engine calls its files, why they cannot be read is said."""
    forge(
        lambda said: re.sub(rb'"files": \["[^"]*"', b'"files": ["' + name + b'"', said)
    )
    result = run("shop.Cart/Get")

    assert "not compared with a file: " in result.output
    assert result.exit_code == 1
    assert data()[1]["policies"][0]["problem"]


def test_moments_that_never_were(forge):
    """A time that no clock shows is none."""
    forge(lambda said: said.replace(b'"loaded_at": ', b'"loaded_at": 99999999'))

    assert "since ?" in run().output


def test_one_that_says_it_anew_just_now(engine, file, tmp_path):
    """Of an engine that is about to replace what it said, the newer holds."""
    made = engine(file())
    (path,) = tmp_path.glob(f"*/*{ENDING}")
    old = json.loads(path.read_bytes())
    from resilience.state.held import HeldFile

    both = HeldFile(ENDING, json.dumps({**old, "policy_hash": "f" * 12}).encode())
    _, found = data()
    assert len(found["policies"][0]["engines"]) == 1

    both.remove()
    older = {**old, "policy_hash": "f" * 12, "said_at": old["said_at"] - 1}
    both = HeldFile(ENDING, json.dumps(older).encode())
    _, found = data()
    both.remove()

    assert [one["hash"] for one in found["policies"]] == [made.table.hash]


@pytest.mark.parametrize(
    "words",
    [["--live", "a.yaml", "a.B/C"], [], ["--live", "no method"], ["--format", "json"]],
)
def test_wrong_use(engine, file, words):
    """Files beside `--live`, no method without it, or none that is one: wrong use."""
    engine(file())

    assert CliRunner().invoke(cli, ["explain", *words]).exit_code == 2
