"""Servers for the tests that kill real servers."""

import pytest

from examples.servers.supervisor import Supervisor


@pytest.fixture
def supervisor():
    """A supervisor whose servers end with the test."""
    with Supervisor() as owner:
        yield owner
