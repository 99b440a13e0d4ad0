"""Scenario text -> model, or every problem with its line; and the built-in ones."""

from collections.abc import Sequence
from importlib import resources

from resilience import policy as policies
from resilience.lab.method import parse_method
from resilience.policy import diagnose, formats, yaml_text
from resilience.policy.document import Document

from .model import Fault, Scenario
from .rivals import RIVALS


MOST_PROCESSES = 100_000
"""More do not fit into a machine's memory."""


def names() -> list[str]:
    """The built-in scenarios."""
    folder = resources.files("resilience.lab.simulate") / "scenarios"
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    )


def scenario(name_or_path: str) -> Scenario:
    """The built-in scenario of that name, or the one in that file.

    Raises:
        PolicyError: with every problem of the text, in order.
        OSError: it is no built-in name, and there is no such file.
    """
    for name in names():
        if name.lower() == name_or_path.lower():
            folder = resources.files("resilience.lab.simulate") / "scenarios"
            return read(f"{name}.yaml", (folder / f"{name}.yaml").read_text())
    return read(name_or_path, yaml_text.file_bytes(name_or_path))


def read(file: str, text: str | bytes) -> Scenario:
    """Read a scenario; *file* is its name in messages.

    Raises:
        PolicyError: with every problem, in order.
    """
    return formats.read(Scenario, file, text, _relate)


def _relate(document: Document, found: Scenario) -> None:
    """Judge what single values cannot show."""
    for index, topology in enumerate(found.topologies):
        if topology.hosts * topology.processes * found.layers > MOST_PROCESSES:
            text = f"all layers together have at most {MOST_PROCESSES:,} processes"
            document.say(("topologies", index), "out-of-range", topology.name, text)
    if found.writes is not None and found.layers * found.server.shards > 1:
        text = "writes need one layer and one shard"
        document.say(("writes",), "conflict", "", text)
    if found.writes is not None and found.server.replicas > 1:
        document.say(("writes",), "conflict", "", "writes need one replica")
    for index, fault in enumerate(found.faults):
        _relate_fault(document, found, index, fault)
    for index, name in enumerate(found.against):
        if name not in RIVALS:
            text = f"there are {', '.join(RIVALS)}"
            hint = diagnose.write(diagnose.nearest(name, RIVALS), "")
            document.say(("against", index), "unknown-word", name, text, hint=hint)


def _relate_fault(
    document: Document, found: Scenario, index: int, fault: Fault
) -> None:
    """Does a fault fit to the server and to the run?"""
    counts = {"shards": found.server.shards, "replicas": found.server.replicas}
    for key, count in counts.items():
        for place, number in enumerate(getattr(fault, key) or ()):
            if not 0 <= number < count:
                text = f"the server has {key} 0 to {count - 1}"
                path = ("faults", index, key, place)
                document.say(path, "out-of-range", str(number), text)
    if fault.at >= found.duration:
        text = "it begins after the run's end"
        document.say(("faults", index, "at"), "out-of-range", "", text)
    if fault.kind == "capacity" and fault.factor > 1:
        text = "a capacity is cut by a factor of at most 1"
        document.say(("faults", index, "factor"), "out-of-range", "", text)


def policy_texts(
    scenario: Scenario, texts: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The policy under test over what the scenario itself says, over its timeouts."""
    import yaml

    calls = scenario.calls
    base: dict[str, object] = {
        "version": 1,
        "all": {
            "timeout": f"{round(calls.deadline * 1e6)}us",
            "attempt_timeout": f"{round(calls.attempt_timeout * 1e6)}us",
        },
    }
    found = [("(the scenario's timeouts)", yaml.safe_dump(base))]
    if scenario.policy:
        found.append(("(the scenario's policy)", yaml.safe_dump(scenario.policy)))
    return [*found, *texts]


def check_policy(scenario: Scenario, texts: Sequence[tuple[str, str]]) -> None:
    """Read the policy under test as a run will, and the method that it is asked for.

    Raises:
        PolicyError: with every problem.
        ValueError: the scenario's `calls.method` is no method.
    """
    table = policies.load(policy_texts(scenario, texts))
    parse_method(scenario.calls.method, table)
