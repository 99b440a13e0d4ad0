"""Runs the code blocks of README.md and docs/ as tests.

Each document is one story: its blocks share names and a temporary working folder.
Python blocks are executed. A YAML block that begins with `version:` must load as a
policy; one whose first line is a comment naming a file (`# resilience.yaml`) is also
written there, for the blocks after it.
"""

import os
import re
from pathlib import Path

import pytest
from sybil import Document, Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser


@pytest.fixture(scope="module")
def document_folder(tmp_path_factory):
    """The folder that a document's blocks run in."""
    folder = tmp_path_factory.mktemp("document")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def _load_policy(example: Example) -> None:
    import resilience

    text = str(example.parsed)
    named = re.match(r"# ([\w.-]+\.ya?ml)\b", text)
    if named:
        Path(named[1]).write_text(text)
    if re.search(r"^version:", text, re.MULTILINE):
        resilience.PolicyEngine.from_text(text).close()


class _YamlBlockParser(CodeBlockParser):
    language = "yaml"

    def evaluate(self, example: Example) -> None:
        _load_policy(example)


def _name_it_main(namespace: dict) -> None:
    namespace["__name__"] = "__main__"


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), _YamlBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=_name_it_main,
    fixtures=["document_folder"],
    document_types={".md": Document},
).pytest()
