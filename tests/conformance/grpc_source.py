"""Where grpcio's own tests come from.

Debian's source package of gRPC carries them. It is fetched with the machine's own
package sources, asked for their source half in a folder of ours, so nothing of the
machine's set-up changes. The messages of the tests are compiled for the protobuf that
is installed. Only this file knows about apt, archives and the compiler.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path


APT = Path("/etc/apt")
PARTS = ("tests", "tests_aio", "tests_py3_only")
SPLIT = re.compile("split_|invocation_testing|wkt")
"""Messages that only the tests of the compiler's plug-in need."""


def unpacked_suite(python: str, cache: Path) -> Path:
    """Return a folder with the suite, its messages compiled by *python*."""
    tag = f"{sys.implementation.cache_tag}-{_protobuf(python)}"
    home = cache / f"grpc-suite-{tag}"
    if (home / "ready").exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        source = _unpack(_archive(cache), Path(scratch))
        for part in PARTS:
            shutil.copytree(source / "src/python/grpcio_tests" / part, home / part)
        shutil.copytree(source / "src/proto", home / "src/proto")
    _compile(python, home)
    (home / "ready").touch()
    return home


def _protobuf(python: str) -> str:
    code = "from importlib.metadata import version as v; print(v('protobuf'))"
    command = [python, "-c", code]
    return subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout.strip()


def _archive(cache: Path) -> Path:
    """The upstream archive of the newest source package; fetched once."""
    folder = cache / "grpc-source"
    found = sorted(folder.glob("grpc_*.orig.tar.gz"))
    if found:
        return found[-1]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        options = _private_apt(Path(scratch))
        subprocess.run(["apt-get", *options, "update", "-q"], check=True)
        fetch = ["apt-get", *options, "source", "--download-only", "grpc"]
        subprocess.run(fetch, check=True, cwd=folder)
    (archive,) = folder.glob("grpc_*.orig.tar.gz")
    return archive


def _private_apt(folder: Path) -> list[str]:
    """Options for an apt that sees the source half of the machine's own sources."""
    parts, lists = folder / "parts", folder / "lists"
    parts.mkdir()
    (lists / "partial").mkdir(parents=True)
    for number, path in enumerate(sorted(APT.glob("sources.list.d/*.sources"))):
        text = re.sub(r"(?m)^Types:.*$", "Types: deb-src", path.read_text())
        if "Debian" in text or "debian" in text:
            (parts / f"{number}.sources").write_text(text)
    single = APT / "sources.list"
    text = single.read_text() if single.exists() else ""
    (parts / "list.list").write_text(
        "".join(
            re.sub(r"^deb\s", "deb-src ", line) + "\n"
            for line in text.splitlines()
            if line.startswith("deb ") and "debian" in line
        )
    )
    return [
        f"-oDir::Etc::sourceparts={parts}",
        "-oDir::Etc::sourcelist=/dev/null",
        f"-oDir::State::lists={lists}",
        "-oAPT::Sandbox::User=root",
    ]


def _unpack(archive: Path, scratch: Path) -> Path:
    with tarfile.open(archive) as tar:
        wanted = [
            member
            for member in tar.getmembers()
            if re.match(r"[^/]+/src/(proto|python/grpcio_tests)/", member.name)
        ]
        tar.extractall(scratch, members=wanted, filter="data")
    (top,) = (path for path in scratch.iterdir() if path.is_dir())
    return top


def _compile(python: str, home: Path) -> None:
    """Compile the messages, each by itself: some define the same names."""
    for folder in [home / "src", *(home / "src").rglob("*/")]:
        (folder / "__init__.py").touch()
    for path in sorted(home.rglob("*.proto")):
        name = str(path.relative_to(home))
        if SPLIT.search(name):
            continue
        command = [python, "-m", "grpc_tools.protoc", "-I."]
        command += ["--python_out=.", "--grpc_python_out=.", name]
        # What does not compile alone shows as a module that cannot be imported, bare.
        subprocess.run(command, cwd=home, capture_output=True, check=False)
