"""`resilience service-config`: exit codes, streams, JSON with stable keys."""

import json

import pytest


pytest.importorskip("click")
pytest.importorskip("rich")

from click.testing import CliRunner

from resilience.cli.commands import cli


GOOD = """
version: 1
edition: "2026.11"
grpc:
  targets: {cart: {retry: {max_attempts: 2}}}
  methods: {shop.Cart/Get: {idempotency: safe}}
"""
HALF = GOOD + "all: {breaker: {window: 10s}}\n"


@pytest.fixture
def run(tmp_path):
    """`run(text, *words)`: what the command makes of a policy file."""

    def call(text, *words):
        path = tmp_path / "p.yaml"
        path.write_text(text, encoding="utf-8")
        return CliRunner().invoke(cli, ["service-config", str(path), *words])

    return call


def test_config_alone_on_standard_output(run):
    """Standard output is the config, ready for a file; the rest goes beside it."""
    result = run(GOOD)

    assert 0 == result.exit_code
    assert ["loadBalancingConfig", "methodConfig"] == list(json.loads(result.stdout))
    assert "left out: breaker (built in): " in result.stderr


def test_refused(run):
    """A written value that cannot be said: exit 1, no config, its place and name."""
    result = run(HALF)

    assert (1, "") == (result.exit_code, result.stdout)
    assert "p.yaml:7:16: all.breaker: a service config has no" in result.stderr
    assert "1 written value refused; --partial prints the rest" in result.stderr


def test_partial(run):
    """--partial prints what can be said, warns of the rest, and exits 0."""
    result = run(HALF, "--partial")

    assert 0 == result.exit_code
    assert "methodConfig" in json.loads(result.stdout)
    assert "all.breaker" in result.stderr
    assert "1 written value left out" in result.stderr


def test_target(run):
    """--target brings in the rules of a target."""
    config = json.loads(run(GOOD, "--target", "cart").stdout)

    assert 2 == config["methodConfig"][0]["retryPolicy"]["maxAttempts"]


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        (GOOD, (), (0, True, True)),
        (HALF, (), (1, False, False)),
        (HALF, ("--partial",), (0, True, True)),
        ("version: 2\n", (), (1, False, False)),
    ],
    ids=["good", "refused", "partial", "bad file"],
)
def test_json(run, text, words, expected):
    """--format json has the same keys whatever happened."""
    result = run(text, *words, "--format", "json")
    found = json.loads(result.stdout)

    assert [
        "command",
        "ok",
        "files",
        "target",
        "config",
        "problems",
        "left_out",
    ] == list(found)
    assert "service-config" == found["command"]
    assert expected == (result.exit_code, found["ok"], found["config"] is not None)
    assert bool(found["problems"]) == (text != GOOD)


def test_bad_policy(run):
    """A policy that cannot be read at all exits 1 with its problems."""
    result = run("version: 2\n")

    assert (1, "") == (result.exit_code, result.stdout)
    assert "this release reads version 1" in result.stderr


@pytest.mark.parametrize("words", [(), ("missing.yaml",)], ids=["no file", "no such"])
def test_wrong_use(words):
    """No file, or one that is not there, is wrong use: exit 2."""
    assert 2 == CliRunner().invoke(cli, ["service-config", *words]).exit_code


def test_help_names_what_calls():
    """The command line says which command calls a server."""
    result = CliRunner().invoke(cli, ["--help"])

    assert "Only `doctor` and `drill` call anything." in result.stdout
    assert "doctor" in result.stdout.partition("Commands:")[2]
