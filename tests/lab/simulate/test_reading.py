"""A scenario is read strictly: every problem at once, each with its place."""

import pytest

from resilience.errors import PolicyError
from resilience.lab.simulate import names, read, run, scenario


def problems(text):
    with pytest.raises(PolicyError) as caught:
        read("mine.yaml", text)
    return [str(problem) for problem in caught.value.problems]


def test_all_problems_with_places():
    """Unknown keys, bare numbers and wrong words are all told, with line and column."""
    found = problems(
        "version: 1\nname: x\nlaod: 800\nduration: 30\n"
        "faults:\n  - {kind: explode, at: 2s}\n"
    )

    assert [one.split(": ")[0] for one in found] == [
        "mine.yaml:3:1",
        "mine.yaml:4:11",
        "mine.yaml:6:12",
    ]
    assert "write `load" in found[0]
    assert "unit" in found[1]


def test_unknown_keys_inside_name_what_is_allowed_there():
    """In a nested map the allowed keys are that map's, not a policy's."""
    (found,) = problems("version: 1\nname: x\nserver: {worker: 4}\n")

    assert "workers" in found
    assert "retry" not in found


def test_a_broken_text_is_told_as_such():
    """What is no YAML is said to be none."""
    (found,) = problems("version: [1\n")

    assert "yaml-syntax" in found


def test_values_that_do_not_go_together():
    """Faults and rivals that cannot be are told where they stand."""
    found = problems(
        "version: 1\nname: x\nduration: 10s\n"
        "topologies: [{hosts: 10000, processes: 1000}]\n"
        "faults:\n"
        "  - {kind: refuse, at: 20s, shards: [3]}\n"
        "  - {kind: capacity, factor: 2}\n"
        "against: [none, grcp]\n"
    )

    assert [4, 6, 6, 7, 8] == [int(one.split(":")[1]) for one in found]
    assert "write `grpc`" in found[-1]


@pytest.mark.parametrize("name", names())
def test_built_in_scenarios(name):
    """Each scenario that ships is valid, has a title, and names known policies."""
    found = scenario(name.lower())

    assert found.name == name
    assert found.title
    assert found.duration <= 180


def test_the_published_ones_ship():
    """Every scenario with published figures is there."""
    wanted = {"S1a", "S1b", "S2", "S3", "S4", "S4L3", "S4L5", "S5-1", "S5-5", "S5-30"}

    assert wanted | {"S6a", "S6b", "S7", "S9", "safe-load"} <= set(names())


@pytest.mark.parametrize(
    "others", ["layers: 2", "server: {shards: 2}", "server: {replicas: 3}"]
)
def test_writes_need_one_server(others):
    """Who commits what is only known of one server: several are refused."""
    text = f"version: 1\nname: a\nwrites: {{lost: 0.1}}\n{others}\n"
    with pytest.raises(PolicyError) as caught:
        read("a.yaml", text)
    (problem,) = caught.value.problems

    assert ("writes", "conflict", 3) == (problem.path, problem.code, problem.line)


def test_a_missing_file():
    """What is neither a built-in name nor a file is an OSError."""
    with pytest.raises(FileNotFoundError):
        scenario("no-such-scenario.yaml")


def test_a_wrong_policy_is_told_as_by_check(small):
    """Problems of the policy under test keep their own lines."""
    with pytest.raises(PolicyError) as caught:
        run(small(), "version: 1\nall: {retires: 3}\n")

    assert 2 == caught.value.problems[0].line
