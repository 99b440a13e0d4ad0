"""pytest fixtures: an engine in virtual time, its clock and its records.

Registered under the entry point `pytest11`, so installing the package is enough. The
engine has the built-in policy, seed 0 and no file; make others from the same clock.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest


if TYPE_CHECKING:
    from resilience import PolicyEngine
    from resilience.testing import CollectingSink, VirtualClock


@pytest.fixture
def resilience_clock() -> "Iterator[VirtualClock]":
    """Virtual time, for engines and for `resilience.deadline`.

    versionadded: 0.1
    """
    from resilience.testing import VirtualClock

    with VirtualClock() as clock:
        yield clock


@pytest.fixture
def resilience_records() -> "CollectingSink":
    """What `resilience_engine` decided.

    versionadded: 0.1
    """
    from resilience.testing import CollectingSink

    return CollectingSink()


@pytest.fixture
def resilience_engine(
    resilience_clock: "VirtualClock",
    resilience_records: "CollectingSink",
    monkeypatch: pytest.MonkeyPatch,
) -> "Iterator[PolicyEngine]":
    """An engine with the built-in policy, in virtual time; closed after the test.

    versionadded: 0.1
    """
    from resilience import PolicyEngine

    monkeypatch.delenv("RESILIENCE_MODE", raising=False)
    monkeypatch.delenv("RESILIENCE_CONTROL_FILE", raising=False)
    sinks = (resilience_records,)
    with PolicyEngine(clock=resilience_clock, sinks=sinks, seed=0) as engine:
        yield engine
