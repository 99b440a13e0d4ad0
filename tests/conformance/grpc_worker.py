"""Run the tests of one module of grpcio's suite and write each result as it comes.

    python grpc_worker.py MODULE RESULTS [TEST ...]

A line of JSON for each test that begins and for each that ends, so that whoever started
this process knows which test hangs. With TESTs, only those.
"""

import importlib
import json
import os
import sys
import traceback
import unittest


class Writing(unittest.TestResult):
    """Writes what happens to each test."""

    def __init__(self, out):
        super().__init__()
        self._out = out
        self._worst = ("passed", "")

    def write(self, **line):
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()

    def startTest(self, test):  # noqa: N802 - unittest's name
        super().startTest(test)
        self._worst = ("passed", "")
        self.write(begins=test.id())

    def stopTest(self, test):  # noqa: N802 - unittest's name
        super().stopTest(test)
        outcome, text = self._worst
        made = getattr(sys.modules.get("sitecustomize"), "MADE", [0])
        self.write(test=test.id(), outcome=outcome, text=text, channels=made[0])

    def addFailure(self, test, err):  # noqa: N802 - unittest's name
        self._is("failed", err)

    def addError(self, test, err):  # noqa: N802 - unittest's name
        self._is("failed", err)

    def addSubTest(self, test, subtest, err):  # noqa: N802 - unittest's name
        if err is not None:
            self._is("failed", err)

    def addSkip(self, test, reason):  # noqa: N802 - unittest's name
        self._worst = ("skipped", reason)

    def _is(self, outcome, err):
        self._worst = (outcome, "".join(traceback.format_exception(*err))[-3000:])


def flat(suite):
    """The single tests of *suite*."""
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from flat(one)
        else:
            yield one


def main(module, results, *wanted):
    with open(results, "a", encoding="utf-8") as out:  # noqa: PTH123 - kept open
        writing = Writing(out)
        try:
            loaded = importlib.import_module(module)
        except BaseException:  # noqa: BLE001 - SkipTest and worse
            text = traceback.format_exc()[-3000:]
            writing.write(test=module, outcome="not imported", text=text, channels=0)
        else:
            for test in flat(unittest.defaultTestLoader.loadTestsFromModule(loaded)):
                if not wanted or test.id() in wanted:
                    test.run(writing)
        writing.write(end=module)
    os._exit(0)  # some leave threads that never end


if __name__ == "__main__":
    main(*sys.argv[1:])
