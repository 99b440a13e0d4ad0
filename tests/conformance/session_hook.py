"""The pytest plugin that is loaded into a foreign test run.

It calls one function at the end of each session's `__init__`, botocore's and
aiobotocore's, and writes what became of each test. It imports nothing of ours unless it
is told to.

Environment:
    CONFORMANCE_HOOK    `module:function`, called with the session; empty: a bare run
    CONFORMANCE_RESULT  the JSON file to write: {"hooked": sessions, "clients":
                        those made with us in them, "outcomes": {id: word},
                        "why": {id: what was raised}}
    CONFORMANCE_ONLY    an expression that the ids of tests have to match
"""

import functools
import importlib
import json
import os
import re
from pathlib import Path


HOOK = os.environ.get("CONFORMANCE_HOOK", "")
RESULT = os.environ.get("CONFORMANCE_RESULT", "")
ONLY = os.environ.get("CONFORMANCE_ONLY", "")
OURS = "resilience."
WORST_FIRST = ("error", "failed", "xpassed", "xfailed", "skipped", "passed")

counts = {"hooked": 0, "clients": 0}
outcomes = {}
why = {}


def pytest_configure(config):
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_FromWorkers())
    if HOOK:
        module, _, name = HOOK.partition(":")
        _call_for_each_session(getattr(importlib.import_module(module), name))
        _count_clients()


def pytest_collection_modifyitems(config, items):
    if not ONLY:
        return
    wanted = [item for item in items if re.search(ONLY, item.nodeid)]
    config.hook.pytest_deselected(items=[i for i in items if i not in wanted])
    items[:] = wanted


def _call_for_each_session(register):
    from botocore.session import Session

    classes = [Session]
    try:
        from aiobotocore.session import AioSession
    except ImportError:
        pass
    else:
        classes.append(AioSession)
    for made in classes:
        made.__init__ = _then(made, made.__init__, register, classes)


def _then(owner, bare, register, classes):
    @functools.wraps(bare)
    def __init__(self, *args, **kwargs):  # noqa: N807 - it becomes the method
        bare(self, *args, **kwargs)
        # The outermost of the two, when it is all made.
        if next(made for made in type(self).__mro__ if made in classes) is owner:
            register(self)
            counts["hooked"] += 1

    return __init__


def _count_clients():
    from botocore.client import BaseClient

    bare = BaseClient.__init__

    @functools.wraps(bare)
    def __init__(self, *args, **kwargs):  # noqa: N807 - it becomes the method
        bare(self, *args, **kwargs)
        ours = (made.__module__.startswith(OURS) for made in type(self).__mro__)
        counts["clients"] += any(ours)

    BaseClient.__init__ = __init__


def pytest_runtest_logreport(report):
    word = report.outcome
    if hasattr(report, "wasxfail"):
        word = "xfailed" if report.skipped else "xpassed"
    elif report.failed and report.when != "call":
        word = "error"
    if report.failed:
        why[report.nodeid] = _said(report.longreprtext)
    if report.when == "call" or word != "passed":
        before = outcomes.get(report.nodeid, "passed")
        outcomes[report.nodeid] = min(before, word, key=WORST_FIRST.index)


def _said(text):
    """The line that says most: pytest marks what was raised with an E."""
    lines = text.strip().splitlines() or [""]
    raised = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (raised or lines[-1:])[0][:300]


def pytest_sessionfinish(session):
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["sessions"] = counts
    elif RESULT:
        found = {**counts, "outcomes": outcomes, "why": why}
        Path(RESULT).write_text(json.dumps(found, indent=1, sort_keys=True))


class _FromWorkers:
    """Adds up what the xdist workers counted."""

    def pytest_testnodedown(self, node, error):
        counted = getattr(node, "workeroutput", {}).get("sessions", {})
        for name, count in counted.items():
            counts[name] += count
