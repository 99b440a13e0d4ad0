"""Where the foreign test files come from.

Always the source distribution of exactly the version that the tested interpreter has
installed: a test file of another release would report differences that are not ours.
Only this file knows about pip, archives and the cache folder.
"""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path


def installed_version(python: str, distribution: str) -> str:
    """Tell which version of *distribution* the interpreter *python* would import."""
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    answer = subprocess.run(
        [python, "-c", code], check=True, capture_output=True, text=True
    )
    return answer.stdout.strip()


def unpacked_tests(python: str, distribution: str, version: str, cache: Path) -> Path:
    """Return a folder that holds the `tests` of one release; fetch it if it is new."""
    home = cache / f"{distribution}-{version}"
    if (home / "tests").is_dir():
        return home
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        archive = _download(python, f"{distribution}=={version}", Path(scratch))
        with tarfile.open(archive) as tar:
            wanted = [m for m in tar.getmembers() if "tests" in Path(m.name).parts]
            tar.extractall(scratch, members=wanted, filter="data")
        (top,) = (p for p in Path(scratch).iterdir() if p.is_dir())
        home.mkdir(exist_ok=True)
        shutil.move(top / "tests", home / "tests")
    return home


def _download(python: str, requirement: str, folder: Path) -> Path:
    """Fetch one source distribution with the interpreter's own pip set-up."""
    command = [python, "-m", "pip", "--disable-pip-version-check", "download"]
    command += ["--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), requirement], check=True)
    (archive,) = folder.glob("*.tar.gz")
    return archive
