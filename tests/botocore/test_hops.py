"""AWS calls that a handler makes: what they inherit, of which AWS is told nothing."""

import resilience
from resilience.context import serving
from resilience.inbound import Inbound


def test_level_mark_and_criticality_are_inherited(connect, make_engine, wire, sink):
    """Our own breakers go by them; the mark is worth one call to each scope."""
    client = connect("sqs", make_engine({"breaker": {"kind": "adaptive"}}))
    with serving(Inbound(level=0.25, is_probe=True), "sheddable"):
        client.list_queues()
        client.list_queues()

    found = [(made.facts.level, made.facts.is_probe) for made in sink.of("CallEnded")]
    assert [(0.25, True), (0.25, False)] == found
    assert {"sheddable"} == {made.facts.criticality for made in sink.of("CallEnded")}


def test_aws_is_sent_none_of_it(connect, make_engine, wire):
    """There is nobody who would read it."""
    client = connect("sqs", make_engine({"breaker": {"kind": "adaptive"}}))
    with serving(Inbound(level=0.25, is_probe=True)):
        client.list_queues()

    names = {name.lower() for _, _, headers, _ in wire.seen for name, _ in headers}
    assert not {name for name in names if "resilience" in name}


def test_a_call_outside_has_a_criticality_too(connect, make_engine, wire, sink):
    """What is around one call is not kept for the next."""
    client = connect("sqs", make_engine())
    client.list_queues()
    with resilience.criticality("sheddable"):
        client.list_queues()
    client.list_queues()

    said = [made.facts.criticality for made in sink.of("CallEnded")]
    assert [None, "sheddable", None] == said
