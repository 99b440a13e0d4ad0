"""The pytest plugin that is loaded into a foreign test run.

It calls one function at the end of each `botocore.session.Session.__init__` and writes
what became of each test. It imports nothing of ours unless it is told to.

Environment:
    CONFORMANCE_HOOK    `module:function`, called with the session; empty: a bare run
    CONFORMANCE_RESULT  the JSON file to write: {"hooked": int, "outcomes": {id: word}}
"""

import importlib
import json
import os
from pathlib import Path


HOOK = os.environ.get("CONFORMANCE_HOOK", "")
RESULT = os.environ.get("CONFORMANCE_RESULT", "")
WORST_FIRST = ("error", "failed", "xpassed", "xfailed", "skipped", "passed")

hooked = 0
outcomes = {}


def pytest_configure(config):
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_FromWorkers())
    if HOOK:
        module, _, name = HOOK.partition(":")
        _call_for_each_session(getattr(importlib.import_module(module), name))


def _call_for_each_session(register):
    from botocore.session import Session

    bare = Session.__init__

    def __init__(self, *args, **kwargs):  # noqa: N807 - it becomes the method
        global hooked  # noqa: PLW0603 - one count for the process
        bare(self, *args, **kwargs)
        register(self)
        hooked += 1

    Session.__init__ = __init__


def pytest_runtest_logreport(report):
    word = report.outcome
    if hasattr(report, "wasxfail"):
        word = "xfailed" if report.skipped else "xpassed"
    elif report.failed and report.when != "call":
        word = "error"
    if report.when == "call" or word != "passed":
        before = outcomes.get(report.nodeid, "passed")
        outcomes[report.nodeid] = min(before, word, key=WORST_FIRST.index)


def pytest_sessionfinish(session):
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["hooked"] = hooked
    elif RESULT:
        found = {"hooked": hooked, "outcomes": outcomes}
        Path(RESULT).write_text(json.dumps(found, indent=1, sort_keys=True))


class _FromWorkers:
    """Adds up what the xdist workers counted."""

    def pytest_testnodedown(self, node, error):
        global hooked  # noqa: PLW0603 - one count for the run
        hooked += getattr(node, "workeroutput", {}).get("hooked", 0)
