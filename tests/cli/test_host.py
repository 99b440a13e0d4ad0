"""`resilience status` and `resilience top`: what this host's processes share."""

import json
import os
import re
import time

import pytest
from click.testing import CliRunner

from resilience.cli.commands import cli
from resilience.core.adaptive import AdaptiveBreaker
from resilience.core.breaker import Permit
from resilience.state import HostState
from resilience.state.peek import Seen, SeenRow
from tests.core.policies import breaker


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    """Makes processes of a host whose calls end well or badly just now."""
    monkeypatch.setenv("RESILIENCE_STATE_DIR", str(tmp_path))
    made = []

    def make(scope, *, bad=0, name="shop", **said):
        host = HostState(name, print)
        made.append(host)
        policy = breaker(kind="adaptive", unit_s=1.0, **said)
        found = AdaptiveBreaker(policy, scope, host.rows(scope))
        end = time.monotonic()
        for at in range(30, -1, -1):
            now = end - at * 0.1
            for number in range(4):
                permit = found.admit(now, lambda: 0.5)
                if isinstance(permit, Permit):
                    shown = "failure" if number < bad else "success"
                    found.done(permit, shown, 0.01, now, lambda: 0.5)
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


def test_forced_open(hosts):
    """What a policy holds open is not shown as closed."""
    hosts("app:target=cart", forced="open")
    (shown,) = json.loads(run("status", "--format", "json").output)["scopes"]

    assert (shown["state"], shown["admitted"]) == ("open", 0.0)


def test_what_is_not_closed(hosts):
    """Since when, in which process and on what evidence is told, of these alone."""
    hosts("app:target=cart")
    hosts("app:target=search", bad=4)
    hosts("app:target=search")
    shown = run("status").output.splitlines()
    found = json.loads(run("status", "--format", "json").output)["scopes"]
    worst, well = found
    head, why = shown[-2:]

    assert re.fullmatch(
        rf"{worst['state']} app:target=search since \d\d:\d\d:\d\d UTC \(\d+ s\), "
        rf"process {os.getpid()}",
        head,
    )
    for text in (why, f"  {worst['evidence']}"):
        assert re.fullmatch(
            r"  \d+ of \d+ results bad in 3 s, seen by 1 process; "
            r"the last bad one \d+\.\d s ago",
            text,
        )
    assert 0 < worst["since_s"] < 4
    assert worst["careful_pids"] == [os.getpid()]
    assert (well["since_s"], well["evidence"], well["careful_pids"]) == (None, "", [])
    assert not any("cart since" in line for line in shown)


@pytest.fixture
def limited(monkeypatch):
    """Lets processes tell of scopes that they limit."""
    row = SeenRow(
        slot=0,
        pid=7,
        scope="",
        fraction=0.5,
        rate=1.0,
        offered=9,
        ok=0,
        bad=0,
        seconds=3.0,
        idle_s=0.1,
        since_s=None,
        bad_s=None,
    )

    def tell(*changes):
        rows = tuple(row._replace(**change) for change in changes)
        monkeypatch.setattr("resilience.lab.host.peek", lambda *_: Seen("x", 1, rows))

    monkeypatch.setattr("resilience.lab.host.names", lambda: ["x"])
    return tell


@pytest.mark.parametrize(
    ("seconds", "length"), [(119, "119 s"), (150, "2 min"), (7200, "2 h")]
)
def test_the_first_and_the_worst_count(limited, seconds, length):
    """It is since the first process limits it; many processes are named in part."""
    limited(*({"slot": at, "pid": at, "since_s": seconds - at} for at in range(10)))
    shown = run("status").output

    assert f" UTC ({length}), process 0, 1, 2, 3, 4, 5, 6, 7 and 2 more\n" in shown


def test_of_many_some_are_told(limited):
    """Of many that are not closed the worst twenty are told, and how many more are."""
    limited(*({"scope": f"app:target=s{at}"} for at in range(25)))
    shown = run("status").output

    assert shown.count(", process 7\n  no results in 3 s\n") == 20
    assert shown.endswith("\nand 5 more (--format json)\n")


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
