"""The published policies are accepted by the engine that they are for."""

from pathlib import Path

import pytest

from resilience import PolicyEngine


FOLDER = Path(__file__).parents[2] / "examples" / "policies"
POLICIES = sorted(FOLDER.glob("*.yaml"))


def test_the_policies_are_there():
    """The policies that the documentation names are published."""
    names = {path.stem for path in POLICIES}

    assert {"aws-envoy", "checkout", "demo-aws", "demo-grpc", "etcd"} <= names


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_policy_loads(path):
    """A published policy has no problem, and enforces."""
    engine = PolicyEngine.from_yaml(path)

    assert engine.mode == "enforce"
    assert engine.table.name == path.stem
    engine.close()
