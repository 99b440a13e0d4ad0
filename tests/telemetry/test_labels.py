"""Attributes stay few, whatever names come in."""

from resilience.core.target import Target
from resilience.telemetry.labels import (
    MAX_CACHED,
    Bounded,
    TargetAttributes,
    scope_label,
)


def target(**given):
    return Target(
        **{"protocol": "aws", "name": "s3", "service": "s3", "method": "GetObject"}
        | given
    )


def test_first_come_first_served():
    """Values that were seen in time keep their name for ever; later ones share one."""
    bounded = Bounded(2)

    assert [bounded.value(name) for name in "abca"] == ["a", "b", "other", "a"]


def test_attributes_of_a_target():
    """Protocol, target and method name a target."""
    assert ("aws", "s3", "s3.GetObject") == TargetAttributes(9).of(target())


def test_buckets_are_no_attributes():
    """Targets that differ in bucket, table or key have the same attributes."""
    attributes = TargetAttributes(1)
    found = [
        attributes.of(target(labels=(("bucket", f"b-{number}"),)))
        for number in range(MAX_CACHED + 10)
    ]

    assert len(attributes._cache) <= MAX_CACHED
    assert {"s3.GetObject"} == {made.method for made in found}


def test_methods_are_bounded():
    """Beyond the bound target and method are both `other`; the protocol is not."""
    attributes = TargetAttributes(1)
    attributes.of(target())
    found = attributes.of(target(method="PutObject"))

    assert found == ("aws", "other", "other")


def test_scope_labels_leave_unbounded_dimensions_out():
    """A scope's bucket or table never becomes part of an attribute."""
    assert scope_label("aws:region=eu,bucket=orders") == "aws:region=eu"
    assert scope_label("grpc:target=cart,method=Get") == "grpc:target=cart,method=Get"
    assert scope_label("aws:table=orders") == "aws:"
