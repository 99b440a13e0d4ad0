"""`resilience doctor`: exit codes, text for people, JSON with stable keys."""

import json
import subprocess
import sys

import pytest


pytest.importorskip("click")
pytest.importorskip("rich")
jsonschema = pytest.importorskip("jsonschema")

from click.testing import CliRunner

from resilience.cli import doctor as command
from resilience.lab.doctor import Finding, diagnose
from resilience.lab.doctor.finding import diagnosis


TEXT = {"type": "string"}
KEYS = ("code", "level", "what", "evidence", "cause", "remedy", "address")


def exactly(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


SCHEMA = exactly(
    command={"const": "doctor"},
    target=TEXT,
    healthy={"type": "boolean"},
    elapsed_s={"type": "number"},
    addresses={"type": "array", "items": TEXT},
    services={"type": "array", "items": TEXT},
    findings={
        "type": "array",
        "items": {
            **exactly(**dict.fromkeys(KEYS, TEXT)),
            "properties": {
                **dict.fromkeys(KEYS, TEXT),
                "code": {"type": "string", "pattern": "^[a-z0-9-]+$"},
                "level": {"enum": ["problem", "advice", "fact"]},
            },
        },
    },
)


@pytest.fixture
def run(monkeypatch):
    """`run(*words, found=...)` runs the command with a made-up diagnosis."""

    def invoke(*words, found=None):
        asked = []

        def examine(target, **options):
            asked.append((target, options))
            return found

        if found is not None:
            monkeypatch.setattr(command, "diagnose", examine)
        result = CliRunner().invoke(command.doctor, [str(word) for word in words])
        result.asked = asked
        return result

    return invoke


def found(*findings):
    return diagnosis("shop:1", findings, addresses=["10.0.0.1:1"], elapsed_s=0.1234)


OK = Finding(code="grpc-spoken", level="fact", what="the server speaks gRPC")
ADVICE = Finding(code="one-address", level="advice", what="one", remedy="two")
BAD = Finding(
    code="tcp-refused",
    level="problem",
    what="nobody [red]listens[/red] \x1b[31m",
    evidence="Connection refused",
    cause="it is down",
    remedy="start it",
    address="10.0.0.1:1",
)


def test_a_healthy_target(run):
    """Exit 0, even with advice."""
    result = run("shop:1", found=found(OK, ADVICE))

    assert 0 == result.exit_code
    assert "no problem found in 0.12 s" in result.stdout
    assert "change: two" in result.stdout


def test_a_sick_target(run):
    """Exit 1; what, evidence, cause and remedy are shown, and nothing is markup."""
    result = run("shop:1", found=found(OK, BAD))

    assert 1 == result.exit_code
    assert "nobody [red]listens[/red] \\x1b[31m  [tcp-refused]" in result.stdout
    assert "seen: Connection refused" in result.stdout
    assert "cause: it is down" in result.stdout
    assert "change: start it" in result.stdout
    assert "1 problem found" in result.stdout


def test_several_addresses_have_headings(run):
    """Findings of several addresses are told apart."""
    other = Finding(code="x", level="fact", what="y", address="10.0.0.2:1")
    lines = run("shop:1", found=found(ADVICE, BAD, other, OK)).stdout.splitlines()
    headings = [line for line in lines if line.startswith(("at ", "as "))]

    assert ["at 10.0.0.1:1", "at 10.0.0.2:1", "as a whole"] == headings
    assert "at 10" not in run("shop:1", found=found(BAD)).stdout


@pytest.mark.parametrize(("findings", "code"), [((OK,), 0), ((OK, BAD), 1)])
def test_json(run, findings, code):
    """JSON has these keys and no others."""
    result = run("shop:1", "--format", "json", found=found(*findings))
    data = json.loads(result.stdout)

    assert code == result.exit_code
    jsonschema.validate(data, SCHEMA)
    assert (code == 0) is data["healthy"]


def test_json_of_a_real_examination(run):
    """A real diagnosis obeys the same schema."""
    result = run("unix:no-such-socket", "--format", "json")

    assert 1 == result.exit_code
    jsonschema.validate(json.loads(result.stdout), SCHEMA)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {"security": "find-out", "timeout_s": 10.0, "authority": ""}),
        (("--tls",), {"security": "tls"}),
        (("--plaintext",), {"security": "plaintext"}),
        (("--server-name", "a"), {"authority": "a"}),
        (("--authority", "a"), {"authority": "a"}),
        (("--timeout", "2.5"), {"timeout_s": 2.5}),
        (
            ("--service", "s", "--descriptors", "d"),
            {"service": "s", "descriptors": "d"},
        ),
    ],
)
def test_options_reach_the_examination(run, words, expected):
    """Each option is handed to the library under its name."""
    ((target, options),) = run("shop:1", *words, found=found(OK)).asked

    assert "shop:1" == target
    assert expected.items() <= options.items()


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("shop:http",),
        ("https://shop",),
        ("shop:1", "--timeout", "0"),
        ("shop:1", "--ca", "nowhere.pem"),
        ("shop:1", "--key", __file__),
        ("shop:1", "--ca", __file__),
        ("shop:1", "--cert", __file__),
        ("shop:1", "--descriptors", "nowhere.pb"),
        ("shop:1", "--format", "xml"),
    ],
)
def test_wrong_use(run, words):
    """Wrong use exits 2, and says why."""
    result = run(*words)

    assert 2 == result.exit_code
    assert "Error: " in result.output


def test_a_module_of_the_current_folder(run, tmp_path, monkeypatch):
    """A module in the working folder can be named, and may fail in any way."""
    (tmp_path / "broken_pb2.py").write_text("raise RuntimeError('too old')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    result = run("shop:1", "--descriptors", "broken_pb2")

    assert 2 == result.exit_code
    assert "RuntimeError: too old" in " ".join(result.output.split())


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan")])
def test_no_time_at_all(timeout_s):
    """The library refuses a time that is none."""
    with pytest.raises(ValueError, match="timeout_s"):
        diagnose("unix:x", timeout_s=timeout_s)


@pytest.mark.parametrize("module", ["grpc", "grpc_health.v1", "grpc_reflection", "h2"])
def test_a_missing_extra(module):
    """Without its extra the command says how to install it, and exits with 2."""
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from resilience.cli.doctor import doctor\ndoctor(['shop:1'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert 2 == done.returncode
    assert "pip install 'resilience-middleware[doctor]'" in done.stderr.replace(
        "\n", ""
    )
    assert "Traceback" not in done.stderr
