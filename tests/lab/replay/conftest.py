"""Recordings made by the real engine in virtual time, and what plays them again."""

import pytest

from resilience import policy
from resilience.lab.replay import replay
from tests.lab.replay.recordings import World


@pytest.fixture
def world(tmp_path):
    """Makes a world whose calls are recorded in a file."""

    def make(text, **given):
        return World(text, tmp_path / "records.jsonl", **given)

    return make


@pytest.fixture
def play():
    """Plays recordings under the policy of a text."""

    def run(paths, text, **given):
        paths = paths if isinstance(paths, list) else [paths]
        table = policy.load([("new.yaml", text)])
        return replay(paths, table, **given)

    return run
