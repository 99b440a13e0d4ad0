"""Protection by environment alone, for every client of every session."""

import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

import resilience.botocore
from resilience.botocore import plugin


POLICY = """
version: 1
name: t
aws: {all: {retry: {max_attempts: 2, initial_backoff: 1ms}}}
"""


@pytest.fixture(autouse=True)
def _as_environment_says(monkeypatch, tmp_path):
    """Botocore finds the plugin, and the plugin a policy and no engine yet."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    module = "resilience=resilience.botocore.plugin"
    monkeypatch.setenv("BOTOCORE_EXPERIMENTAL__PLUGINS", module)
    monkeypatch.setenv("RESILIENCE_POLICY", str(path))
    monkeypatch.setattr(plugin, "_engine", plugin._Engine())


def failing(client, wire):
    wire.seen, wire.plans = [], [500] * 9
    with pytest.raises(ClientError):
        client.list_queues()
    return wire.count


def test_every_session(wire, session):
    """Clients of all sessions are protected, by one engine and the policy's rules."""
    other = boto3.Session("k", "s", region_name="us-east-1")
    clients = [
        one.client("sqs", endpoint_url=wire.url) for one in (session, session, other)
    ]

    assert [2, 2, 2] == [failing(client, wire) for client in clients]
    assert 1 == len(
        {id(vars(c)["_resilience_guard"].registration.engine) for c in clients}
    )


def test_code_comes_first(wire, session, make_engine):
    """A session that was registered in code keeps its engine."""
    engine = make_engine({"retry": {"max_attempts": 4}})
    resilience.botocore.register(session, engine)

    assert 4 == failing(session.client("sqs", endpoint_url=wire.url), wire)


def test_several_files(wire, session, monkeypatch, tmp_path):
    """Later files of `RESILIENCE_POLICY` overlay earlier ones."""
    more = tmp_path / "more.yaml"
    more.write_text("version: 1\naws: {all: {retry: {max_attempts: 3}}}\n")
    found = os.environ["RESILIENCE_POLICY"]
    monkeypatch.setenv("RESILIENCE_POLICY", os.pathsep.join([found, str(more)]))

    assert 3 == failing(session.client("sqs", endpoint_url=wire.url), wire)


def test_no_policy(session, monkeypatch):
    """Without a policy the safe defaults hold."""
    monkeypatch.delenv("RESILIENCE_POLICY")
    client = session.client("sqs", endpoint_url="http://127.0.0.1:1")

    assert resilience.botocore.owner_of(client).startswith("resilience (profile aws")


def test_a_policy_that_cannot_be_read(wire, session, monkeypatch, caplog):
    """Clients stay bare and are made all the same; it is said once why."""
    monkeypatch.setenv("RESILIENCE_POLICY", "/nowhere/policy.yaml")
    clients = [session.client("sqs", endpoint_url=wire.url) for _ in range(2)]
    for client in clients:
        client.list_queues()

    assert all(
        resilience.botocore.owner_of(client).startswith("botocore")
        for client in clients
    )
    warnings = [r for r in caplog.records if "RESILIENCE_POLICY" in r.getMessage()]
    assert 1 == len(warnings)


def test_a_process_without_a_line_of_code(wire):
    """A program that knows nothing of us makes the policy's attempts."""
    code = f"""
import boto3
client = boto3.client("sqs", endpoint_url={wire.url!r}, region_name="us-east-1",
    aws_access_key_id="k", aws_secret_access_key="s")
try:
    client.list_queues()
except client.exceptions.ClientError as error:
    print(error)
"""
    wire.plans = [500] * 9
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *_more()])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "reached max retries: 1" in done.stdout
    assert 2 == wire.count


def _more():
    return [path for path in [os.environ.get("PYTHONPATH")] if path]
