"""The references under docs/ say what the code says."""

import importlib.util
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
