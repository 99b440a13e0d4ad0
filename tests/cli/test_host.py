"""`resilience status` and `resilience top`: what this host's processes share."""

import json
import time

import pytest
from click.testing import CliRunner

from resilience.cli.commands import cli
from resilience.core.adaptive import AdaptiveBreaker
from resilience.core.breaker import Permit
from resilience.state import HostState
from tests.core.policies import breaker


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    """Makes processes of a host whose calls end well or badly just now."""
    monkeypatch.setenv("RESILIENCE_STATE_DIR", str(tmp_path))
    made = []

    def make(scope, *, bad=0, name="shop"):
        host = HostState(name, print)
        made.append(host)
        policy = breaker(kind="adaptive", unit_s=1.0)
        found = AdaptiveBreaker(policy, scope, host.rows(scope))
        end = time.monotonic()
        for at in range(30, -1, -1):
            now = end - at * 0.1
            for number in range(4):
                permit = found.admit(now, lambda: 0.5)
                if isinstance(permit, Permit):
                    said = "failure" if number < bad else "success"
                    found.done(permit, said, 0.01, now, lambda: 0.5)
        return host

    yield make
    for host in made:
        host.close()


def run(*words):
    return CliRunner().invoke(cli, words)


def test_nothing_is_shared(hosts):
    """A host without shared state is said to be one; a name that is asked for fails."""
    assert run("status").exit_code == 0
    assert "nothing is shared" in run("status").output
    assert run("status", "--name", "shop").exit_code == 1


def test_scopes_are_added_up(hosts):
    """Each scope is one row, over all processes; the worst comes first."""
    hosts("app:target=cart")
    hosts("app:target=cart")
    hosts("app:target=search", bad=4)
    shown = run("status")
    found = json.loads(run("status", "--format", "json").output)

    assert shown.output.splitlines()[0] == "3 processes, 2 scopes"
    worst, well = found["scopes"]
    assert (well["scope"], well["processes"], well["state"]) == (
        "app:target=cart",
        2,
        "closed",
    )
    assert (well["admitted"], well["bad"]) == (1.0, 0)
    assert well["ok"] >= 60
    assert worst["scope"] == "app:target=search"
    assert worst["state"] in {"open", "limiting"}
    assert worst["bad"] >= 4


def test_names_speak_to_nobody_s_terminal(hosts, monkeypatch):
    """What another process calls its scope is escaped and cut."""
    monkeypatch.setenv("COLUMNS", "300")
    hosts("app:target=\x1b[31mred\n" + "x" * 300)
    shown = run("status").output

    assert "\x1b" not in shown
    assert "\\x1b[31mred\\nxxx" in shown
    assert "x" * 120 not in shown


def test_only_one_policy(hosts):
    """`--name` leaves the others out."""
    hosts("app:target=cart")
    hosts("app:target=other", name="store")
    shown = run("status", "--name", "store").output

    assert "other" in shown
    assert "cart" not in shown


def test_live(hosts):
    """`top` shows the same, again and again."""
    hosts("app:target=cart")
    shown = run("top", "--times", "2", "--every", "0.1")

    assert shown.exit_code == 0
    assert "app:target=cart" in shown.output
