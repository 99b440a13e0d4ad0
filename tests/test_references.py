"""The references under docs/ say what the code says."""

import importlib.util
import re
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location(
    "write_references", ROOT / "tools" / "write_references.py"
)
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)


@pytest.mark.parametrize("name", sorted(TOOL.REFERENCES))
def test_reference_is_current(name):
    """A reference is what the tool writes today: run it after changing the code."""
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")

    assert TOOL.REFERENCES[name]() == written


def test_every_environment_variable_is_documented():
    """The variables in the reference are those that the code names."""
    pattern = re.compile(r"\bRESILIENCE_[A-Z_]+\b")
    sources = (ROOT / "resilience").rglob("*.py")
    named = {name for path in sources for name in pattern.findall(path.read_text())}
    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")

    assert named == set(pattern.findall(written))
