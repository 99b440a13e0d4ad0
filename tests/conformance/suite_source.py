"""Where the foreign test files come from, and the packages that only they import.

Always the source distribution of exactly the version that the tested interpreter has
installed: a test file of another release would report differences that are not ours.
Only this file knows about pip, archives and the cache folder.
"""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path


def installed_version(python: str, distribution: str) -> str:
    """Tell which version of *distribution* the interpreter *python* would import."""
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    answer = subprocess.run(
        [python, "-c", code], check=True, capture_output=True, text=True
    )
    return answer.stdout.strip()


def installed(python: str) -> dict[str, str]:
    """All that the interpreter *python* has installed: versions by name."""
    code = (
        "from importlib.metadata import distributions as all\n"
        "for d in all(): print(d.metadata['Name'].lower(), d.version)"
    )
    answer = subprocess.run(
        [python, "-c", code], check=True, capture_output=True, text=True
    )
    return dict(line.split() for line in answer.stdout.splitlines())


def unpacked_tests(
    python: str,
    distribution: str,
    version: str,
    cache: Path,
    files: Sequence[str] = ("tests",),
) -> Path:
    """Return a folder with *files* of one release; fetch it if it is new."""
    home = cache / f"{distribution}-{version}"
    if all((home / name).exists() for name in files):
        return home
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        archive = _download(python, f"{distribution}=={version}", Path(scratch))
        with tarfile.open(archive) as tar:
            wanted = [
                m for m in tar.getmembers() if m.name.split("/", 2)[1:2] in _each(files)
            ]
            tar.extractall(scratch, members=wanted, filter="data")
        (top,) = (p for p in Path(scratch).iterdir() if p.is_dir())
        shutil.rmtree(home, ignore_errors=True)
        shutil.move(top, home)
    return home


def _each(files: Sequence[str]) -> list[list[str]]:
    return [[name] for name in files]


def packages(python: str, names: Sequence[str], cache: Path) -> list[Path]:
    """Return folders for the import path that hold the packages *names*.

    They are kept out of the environment: what a foreign test imports must not decide
    what ours import. Their own requirements are to be among the names.
    """
    if not names:
        return []
    tag = hashlib.sha256(" ".join([python, *names]).encode()).hexdigest()[:12]
    folder = cache / f"packages-{tag}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            command = [python, "-m", "pip", "--disable-pip-version-check", "install"]
            command += ["--quiet", "--no-deps", "--target", f"{scratch}/made", *names]
            subprocess.run(command, check=True)
            shutil.move(Path(scratch, "made"), folder)
    return [folder]


def _download(python: str, requirement: str, folder: Path) -> Path:
    """Fetch one source distribution with the interpreter's own pip set-up."""
    command = [python, "-m", "pip", "--disable-pip-version-check", "download"]
    command += ["--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), requirement], check=True)
    (archive,) = folder.glob("*.tar.gz")
    return archive
