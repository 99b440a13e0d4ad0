"""`diff` as a library."""

from resilience import policy
from resilience.lab.diff import diff


def table(**sections):
    return policy.load_mapping({"edition": "2026.11", **sections})


def shown(found):
    return {
        (method.method, method.target): [
            (change.path, change.before, change.after) for change in method.changes
        ]
        for method in found.methods
    }


def test_same():
    """A policy does not differ from itself, whatever its spelling."""
    found = diff(table(all={"timeout": "1s"}), table(all={"timeout": "1000ms"}))

    assert not found
    assert {"same": True, "whole": [], "methods": []}.items() <= found.as_dict().items()


def test_effective_values():
    """Every named method shows what changes for it; one without change does not."""
    rules = {"methods": {"a.B/C": {"timeout": "1s"}, "a.B/D": {}}}
    found = diff(table(grpc=rules), table(grpc={"all": {"timeout": "2s"}, **rules}))

    assert {
        ("grpc:*", "-"): [("timeout", "off", "2s")],
        ("grpc:a.B/D", "-"): [("timeout", "off", "2s")],
    } == shown(found)


def test_targets_are_compared():
    """Targets that either policy names are compared."""
    found = diff(table(), table(grpc={"targets": {"eu": {"owner": "x"}}}))

    assert {("grpc:*", "eu"): [("owner", None, "x")]} == shown(found)


def test_the_whole():
    """Name, mode and state are compared for the whole file."""
    found = diff(table(name="a"), table(name="b", mode="observe"))

    assert [("name", "a", "b"), ("mode", "enforce", "observe")] == [
        (change.path, change.before, change.after) for change in found.whole
    ]


def test_switching_off_shows_each_leaf():
    """A mechanism that goes off shows as `off`, and its values as gone."""
    found = shown(diff(table(), table(app={"all": {"retry_budget": False}})))
    changes = found["app:*", "-"]

    assert ("retry_budget", None, "off") in changes
    assert ("retry_budget.ratio", "0.2", None) in changes
