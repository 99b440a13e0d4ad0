"""What the project as a whole promises: light, layered, honest about its bounds."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import benchmarks.__main__


ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "resilience"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Adding a name here is a promise to keep it: a visible, deliberate diff.
PUBLIC = {
    "PolicyEngine",
    "PolicyError",
    "Problem",
    "Rejected",
    "Report",
    "ResilienceError",
    "criticality",
    "deadline",
    "detached",
    "idempotency_key",
    "propagate",
    "report",
}
HEAVY = (
    "asyncio",
    "backoff",
    "boto3",
    "botocore",
    "click",
    "grpc",
    "opentelemetry",
    "pydantic",
    "rich",
    "yaml",
)
MODULES = sorted(PACKAGE.rglob("*.py"))


def python(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_public_names():
    """The top level exports exactly the names that are listed here."""
    import resilience

    assert sorted(resilience.__all__) == sorted(PUBLIC)
    assert all(getattr(resilience, name) is not None for name in PUBLIC)


@pytest.mark.parametrize(
    "use",
    ["", "resilience.deadline; resilience.report(ValueError())"],
    ids=["imported", "used without an engine"],
)
def test_import_is_light(use):
    """`import resilience` imports no library and no event loop."""
    shown = python(f"import sys, resilience; {use}\nprint(*sys.modules)")

    assert shown.returncode == 0, shown.stderr
    assert {name.partition(".")[0] for name in shown.stdout.split()}.isdisjoint(HEAVY)


@pytest.mark.parametrize("library", ["grpc", "botocore"])
def test_one_adapter_does_not_import_the_other(library):
    """Users of one protocol do not pay for the other's library."""
    other = {"grpc": "botocore", "botocore": "grpc"}[library]
    shown = python(f"import sys, resilience.{library}\nprint(*sys.modules)")

    assert shown.returncode == 0, shown.stderr
    assert other not in shown.stdout.split()


def modules_of(module: str) -> int:
    """How many modules a new process has after importing *module*."""
    return len(python(f"import sys, {module}\nprint(*sys.modules)").stdout.split())


def test_import_is_small():
    """`import resilience` brings in fewer modules than the library it stands before.

    How long either takes depends on the machine, and on whether it may keep bytecode;
    `benchmarks/import_cost.py` measures that.
    """
    assert modules_of("resilience") < modules_of("botocore.session") * 2 / 3


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("resilience.grpc", "grpc", "grpc"),
        ("resilience.grpc.aio", "grpc", "grpc"),
        ("resilience.botocore", "botocore", "aws"),
        ("resilience.lab.simulate", "simpy", "sim"),
    ],
)
def test_missing_extra(module, library, extra):
    """A missing extra fails at import with the line that installs it."""
    shown = python(f"import sys; sys.modules[{library!r}] = None\nimport {module}")

    assert shown.returncode == 1
    assert "ImportError" in shown.stderr or "ModuleNotFoundError" in shown.stderr
    assert f"resilience-middleware[{extra}]" in shown.stderr


@pytest.mark.parametrize("library", ["click", "rich"])
def test_command_line_without_its_extra(library):
    """Without its extra the command says how to install it, and exits with 2."""
    code = f"import sys; sys.modules[{library!r}] = None\n"
    shown = python(code + "from resilience.cli.main import main\nmain()")

    assert shown.returncode == 2
    assert "resilience-middleware[cli]" in shown.stderr


def test_layers():
    """Rooms import downwards only, and the core imports no clock and no library."""
    shown = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert shown.returncode == 0, shown.stdout + shown.stderr


@pytest.mark.parametrize("module", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_module_size_and_law(module):
    """A module fits in the head, and begins by saying what is decided only there."""
    text = module.read_text()

    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text))


def test_tests_and_scripts_fit_in_the_head_too():
    """What nobody imports is read as well: a file is split where its subject splits."""
    folders = ("tests", "benchmarks", "examples", "tools")
    paths = [path for name in folders for path in (ROOT / name).rglob("*.py")]

    assert paths
    assert [
        str(path.relative_to(ROOT))
        for path in paths
        if "_pb2" not in path.name and len(path.read_text().splitlines()) > 400
    ] == []


def test_lower_bounds_are_the_tested_ones():
    """Each lower bound that we publish is one that `make lowest` installs."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(r for e in extras.values() for r in e)]
    published = {r.replace(">=", "==") for r in wanted if ">=" in r}
    lines = (ROOT / "tests/lowest.txt").read_text().splitlines()

    assert published <= set(lines)


def test_releases_beside_aiobotocore_are_within_the_bounds():
    """What `make aio` pins is what we publish as a lower bound, or newer."""
    lines = (ROOT / "tests/aio.txt").read_text().splitlines()
    pinned = {Requirement(line) for line in lines if line and line[0] != "#"}
    groups = PROJECT["dependency-groups"]
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = map(Requirement, [*extras["aws"], *groups["aio"], *groups["test"][:1]])
    bounds = {one.name: one.specifier for one in wanted}

    assert sorted(bounds) == sorted(one.name for one in pinned)
    for one in pinned:
        (exact,) = one.specifier
        assert exact.operator == "=="
        assert exact.version in bounds[one.name]


def test_no_bound_is_an_upper_one():
    """Published dependencies have no upper bound: a library must not block others."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(r for e in extras.values() for r in e)]

    assert [r for r in wanted if re.search(r"<|~=|==", r)] == []


@pytest.mark.parametrize("name", benchmarks.__main__.names([]))
def test_benchmarks(name):
    """`make bench` finds a report in each, with what its environment has."""
    assert callable(importlib.import_module(f"benchmarks.{name}").report)


def test_a_benchmark_that_breaks_off_is_told(monkeypatch):
    """The others run all the same, and `make bench` does not end well."""
    names = ["nobody", "shared_scope"]
    monkeypatch.setattr(benchmarks.__main__, "names", lambda words: names)
    runs = []

    def run(command, **given):
        runs.append(command[-1])
        code = "import sys; sys.exit('nobody' in sys.argv[1])"
        return native([sys.executable, "-c", code, command[-1]], **given)

    native = subprocess.run
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit, match=r"broke off: nobody$"):
        benchmarks.__main__.main([])

    assert ["benchmarks.nobody", "benchmarks.shared_scope"] == runs


def test_console_script():
    """The console script is there and has a function behind it."""
    (script,) = importlib.metadata.entry_points(
        group="console_scripts", name="resilience"
    )

    assert callable(script.load())


def test_changelog_has_an_unreleased_block():
    """There is always a place for the next line of the changelog, and it is first."""
    headings = re.findall(
        r"^## \[?([^\]\n]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )

    assert headings[0] == "Unreleased"


EXCEPTION = re.compile(
    r"#\s*(?:noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*"
    r"|type: ignore\[[\w-]+(?:, ?[\w-]+)*\]|pyright: ignore\[\w+\]|pragma: no cover)"
)


def test_exceptions_to_rules_say_why():
    """Whoever is exempt from ruff, mypy or pyright says the reason on that line."""
    folders = ("resilience", "tests", "benchmarks", "examples", "tools")
    paths = [path for name in folders for path in (ROOT / name).rglob("*.py")]
    found = [
        (path, line)
        for path in paths
        for line in path.read_text(encoding="utf-8").splitlines()
        if EXCEPTION.search(line)
    ]

    assert found
    assert [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path, line in found
        if not re.search(r"[a-z`]{2,}", EXCEPTION.split(line)[-1])
    ] == []
