"""docs/doctor.md explains each finding, and no other."""

import re
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "resilience" / "lab" / "doctor").glob("*.py"))
_FORMS = (
    r'code ?= ?"([a-z0-9-]+)"',
    r'code="[a-z0-9-]+"\s+if \w+\s+else "([a-z0-9-]+)"',
    r'_failed\(\s*"\w+", "([a-z0-9-]+)"',
)


def codes():
    text = "\n".join(source.read_text() for source in SOURCES)
    return {code for form in _FORMS for code in re.findall(form, text)}


def documented():
    text = (ROOT / "docs" / "doctor.md").read_text()
    rows = re.findall(r"^\| (`[^|]+`) \|", text, re.MULTILINE)
    found = {code for row in rows for code in re.findall(r"`([a-z][a-z0-9-]+)`", row)}
    return found | {"examination-failed"}


def test_each_finding_is_explained():
    """The page's tables have a row for each finding that the code can make."""
    assert codes() == documented()


def test_there_are_findings():
    """The search above finds what it should."""
    assert {"tcp-refused", "http2-cut-off", "health-failed"} <= codes()


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_codes_are_kebab_case(source):
    """No finding has a code of another form."""
    assert re.findall(r'code="(?![a-z0-9]+(?:-[a-z0-9]+)*")', source.read_text()) == []
