"""Look-up in a table: cache, threads, bounds."""

import threading

from resilience import policy


def test_cache_is_bounded(monkeypatch):
    """Names that come from a program do not fill the memory."""
    monkeypatch.setattr("resilience.policy.table._CACHED", 20)
    table = policy.built_in()
    for number in range(100):
        table.policy_for("app", "a", "a", f"op{number}")

    assert len(table._cache) <= 20


def test_threads_share_one_policy():
    """Threads that ask at once get one object."""
    table = policy.load_mapping({"all": {"timeout": "5s"}})
    gate = threading.Barrier(8)
    found = []

    def ask():
        gate.wait()
        found.append(table.policy_for("grpc", "x", "a.B", "C"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == len({id(one) for one in found})


def test_equal_policies_compare_equal():
    """Two loads of one text give equal policies: a reload can tell what changed."""
    data = {"all": {"timeout": "5s"}}
    one, other = policy.load_mapping(data), policy.load_mapping(data)

    assert one.policy_for("grpc", "x", "a.B", "C") == other.policy_for(
        "grpc", "x", "a.B", "C"
    )


def test_leaves_are_exact():
    """What is explained can be written back without loss."""
    table = policy.load_mapping({"all": {"timeout": "12345ms"}})
    leaves = table.explain_leaves("grpc", "x", "a.B", "C")

    assert "12.345s" == next(leaf.value for leaf in leaves if leaf.path == "timeout")


def test_leaves_show_the_engine():
    """A mode held down by the engine says so."""
    table = policy.load_mapping({"grpc": {"mode": "enforce"}})
    leaf = table.explain_leaves("grpc", "x", "a.B", "C", "observe")[0]

    assert ("mode", "observe", "held down by the engine: observe") == (
        leaf.path,
        leaf.value,
        leaf.note,
    )
