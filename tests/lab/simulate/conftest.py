"""Short scenarios: a small server, a few seconds of virtual time."""

import textwrap

import pytest


pytest.importorskip("simpy")

from resilience.lab.simulate import read


SMALL = """
    version: 1
    name: small
    load: 160
    duration: 6s
    topologies: [{hosts: 1, processes: 4}]
    server: {workers: 4}
"""
"""200 calls a second can be served; 160 are offered."""


@pytest.fixture
def small():
    """Makes a short scenario; further keys are given as text."""

    def make(more="", **replaced):
        text = textwrap.dedent(SMALL) + textwrap.dedent(more)
        for key, value in replaced.items():
            lines = [line for line in text.splitlines() if line[: len(key)] != key]
            text = "\n".join([*lines, f"{key}: {value}", ""])
        return read("small.yaml", text)

    return make
