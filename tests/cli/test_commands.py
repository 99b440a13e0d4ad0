"""The commands: exit codes, output, JSON with stable keys."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


pytest.importorskip("click")
pytest.importorskip("rich")
jsonschema = pytest.importorskip("jsonschema")

from click.testing import CliRunner

from resilience.cli.commands import cli


SAMPLE = str(Path(__file__).parents[1] / "policy" / "sample.yaml")
TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
NUMBER = {"type": "number"}


def exactly(**properties):
    """Return a schema of an object with these keys and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def maybe(schema):
    return {"anyOf": [schema, {"type": "null"}]}


def listed(schema):
    return {"type": "array", "items": schema, "minItems": 1}


PROBLEM = exactly(
    file=TEXT,
    line={"type": "integer"},
    column={"type": "integer"},
    path=TEXT,
    code={"type": "string", "pattern": "^[a-z0-9-]+$"},
    found=TEXT,
    message=TEXT,
    hint=TEXT,
)
POLICY = exactly(name=TEXT, edition=TEXT, mode=TEXT, state=TEXT, hash=TEXT, files=TEXTS)
CHANGE = exactly(
    path=TEXT,
    before=maybe(TEXT),
    after=maybe(TEXT),
    before_source=TEXT,
    after_source=TEXT,
)


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


def run_json(*words):
    result = run(*words, "--format", "json")
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("version: 1\nall: {timeout: 5, timout: 3s}\n", encoding="utf-8")
    return path


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text('version: 1\nedition: "2026.11"\n', encoding="utf-8")
    return path


# -- check --------------------------------------------------------------------------


def test_check_fine():
    """A good policy exits 0."""
    result = run("check", SAMPLE)

    assert 0 == result.exit_code
    assert "ok: policy orders" in result.stdout
    assert "in this release" not in result.stdout


def test_check_says_what_does_not_act(plain):
    """What a good policy asks for in vain is said."""
    with plain.open("a", encoding="utf-8") as file:
        file.write("aws: {all: {failover: [{region: eu-west-1}]}}\n")
    result = run("check", plain)

    assert 0 == result.exit_code
    assert "writes fail over only where" in result.stdout


def test_check_findings(bad):
    """Problems exit 1, all of them shown with place and hint."""
    result = run("check", bad)

    assert 1 == result.exit_code
    assert f"{bad}:2:16: bare-number at all.timeout" in result.stdout
    assert "hint: write `5s`" in result.stdout
    assert "2 problems" in result.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("check", "nowhere.yaml"),
        ("check",),
        ("check", "."),
        ("check", SAMPLE, "--format", "xml"),
        ("explain",),
        ("explain", SAMPLE, "no method"),
        ("explain", "nowhere.yaml", "a.B/C"),
        ("diff", SAMPLE),
        ("diff", SAMPLE, "nowhere.yaml"),
        ("frobnicate",),
    ],
    ids=" ".join,
)
def test_wrong_use(words):
    """A missing file, word or option is wrong use: exit 2, and stderr says why."""
    result = run(*words)

    assert 2 == result.exit_code
    assert "Error" in result.stderr


def test_check_json(bad):
    """`check --format json` has stable keys, for good and for bad files."""
    schema = exactly(
        command={"const": "check"},
        ok={"type": "boolean"},
        files=TEXTS,
        problems={"type": "array", "items": PROBLEM},
        notices=TEXTS,
        policy=maybe(POLICY),
    )
    for path, code in ((SAMPLE, 0), (bad, 1)):
        exit_code, data = run_json("check", path)
        jsonschema.validate(data, schema)

        assert (code, code == 0) == (exit_code, data["ok"])


def test_check_overlays(plain, tmp_path):
    """Later files overlay earlier ones."""
    later = tmp_path / "later.yaml"
    later.write_text("name: later\n", encoding="utf-8")

    assert "later" == run_json("check", plain, later)[1]["policy"]["name"]


# -- explain ------------------------------------------------------------------------


def test_explain():
    """`explain` names each value with its line, and the worst case."""
    result = run("explain", SAMPLE, "shop.Orders/Get", "--target", "orders-eu")

    assert 0 == result.exit_code
    assert "grpc:shop.Orders/Get on orders-eu" in result.stdout
    assert f"{SAMPLE}:26" in result.stdout
    assert "worst case   4 attempts" in result.stdout


def test_explain_built_in():
    """Without files the built-in values are explained."""
    result = run("explain", "app:a/b")

    assert 0 == result.exit_code
    assert "no timeout ends it" in result.stdout


def test_explain_bad_policy(bad):
    """A bad policy is a finding of `explain` too."""
    assert 1 == run("explain", bad, "a.B/C").exit_code


def test_explain_json():
    """`explain --format json` has stable keys."""
    exit_code, data = run_json("explain", SAMPLE, "s3.PutObject")
    leaf = exactly(path=TEXT, value=TEXT, source=TEXT, note=TEXT)
    worst = exactly(
        attempts=NUMBER,
        native_attempts=NUMBER,
        wire_attempts=NUMBER,
        wait_s=NUMBER,
        seconds=maybe(NUMBER),
        sustained=NUMBER,
        sustained_why=TEXT,
    )
    schema = exactly(
        command={"const": "explain"},
        method=TEXT,
        protocol={"enum": ["grpc", "aws", "app"]},
        target=TEXT,
        service=TEXT,
        operation=TEXT,
        mode=TEXT,
        policy=exactly(name=TEXT, edition=TEXT, hash=TEXT, files=TEXTS),
        values=listed(leaf),
        idempotency=exactly(value=TEXT, reason=TEXT),
        retries_by=TEXT,
        worst_case=worst,
        notes=TEXTS,
        notices=TEXTS,
    )
    jsonschema.validate(data, schema)

    assert (0, "aws:s3.PutObject") == (exit_code, data["method"])


# -- diff ---------------------------------------------------------------------------


def test_diff_same():
    """No difference exits 0."""
    result = run("diff", SAMPLE, SAMPLE)

    assert 0 == result.exit_code
    assert "no effective difference" in result.stdout


def test_diff(plain):
    """Differences exit 1 and name method, key, before and after."""
    result = run("diff", plain, SAMPLE)

    assert 1 == result.exit_code
    assert "grpc:shop.Orders/Get" in result.stdout
    assert "timeout: off -> 6s" in result.stdout


def test_diff_bad_policy(plain, bad):
    """A policy that cannot be read is no difference: exit 2."""
    assert 2 == run("diff", plain, bad).exit_code


def test_diff_json(plain):
    """`diff --format json` has stable keys."""
    exit_code, data = run_json("diff", plain, SAMPLE)
    schema = exactly(
        command={"const": "diff"},
        same={"type": "boolean"},
        before=TEXT,
        after=TEXT,
        whole=listed(CHANGE),
        methods=listed(exactly(method=TEXT, target=TEXT, changes=listed(CHANGE))),
    )
    jsonschema.validate(data, schema)

    assert (1, False) == (exit_code, data["same"])


@pytest.mark.parametrize("words", [("explain", "{}", "a.B/C"), ("diff", "{}", SAMPLE)])
def test_bad_policy_json(words, bad):
    """Where a policy cannot be used, JSON has its problems."""
    _, data = run_json(*(word.format(bad) for word in words))
    schema = exactly(command=TEXT, ok={"const": False}, problems=listed(PROBLEM))

    jsonschema.validate(data, schema)
    assert words[0] == data["command"]


# -- schema and the rest ------------------------------------------------------------


def test_schema_json():
    """`schema` prints a JSON Schema, in either format."""
    exit_code, data = run_json("schema")

    jsonschema.Draft202012Validator.check_schema(data)
    assert (0, json.loads(run("schema").stdout)) == (exit_code, data)


def test_no_colour_off_a_terminal(bad):
    """Output that is no terminal has no escape codes."""
    assert "\x1b" not in run("check", bad).stdout


@pytest.mark.parametrize(("no_color", "has_colour"), [("1", False), ("", True)])
def test_no_color_is_honoured(monkeypatch, bad, no_color, has_colour):
    """`NO_COLOR` takes colour away on a terminal too."""
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")

    assert has_colour == ("\x1b[31m" in run("check", bad).stdout)


def test_policy_text_is_no_markup(tmp_path):
    """Square brackets and escapes of a policy are shown, not obeyed."""
    path = tmp_path / "p.yaml"
    path.write_text('version: 1\n"[red]x\\e[31m": 1\n', encoding="utf-8")
    out = run("check", path).stdout

    assert "[red]x\\x1b[31m" in out
    assert "\x1b" not in out


def test_module_and_missing_extra():
    """Without click the exact install line is given, and the exit code is 2."""
    code = (
        "import sys; sys.modules['click'] = None\n"
        "from resilience.cli.main import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )

    assert 2 == result.returncode
    assert "pip install 'resilience-middleware[cli]'" in result.stderr


def test_python_m_resilience():
    """`python -m resilience` is the command."""
    result = subprocess.run(
        [sys.executable, "-m", "resilience", "check", SAMPLE],
        check=False,
        capture_output=True,
        text=True,
    )

    assert 0 == result.returncode
