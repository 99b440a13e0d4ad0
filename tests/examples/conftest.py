"""Servers for the tests of the examples."""

import pytest

from examples.servers.supervisor import Supervisor


@pytest.fixture
def supervisor():
    """A supervisor whose servers end with the test."""
    with Supervisor() as owner:
        yield owner
