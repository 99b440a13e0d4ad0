"""The tests of tests/botocore under the releases of botocore of the last year.

    python aws_versions.py [RELEASE ...]

Each release is installed beside this interpreter's packages, with the boto3 and
s3transfer that it was made for, into .conformance/botocore/RELEASE, and comes first on
the path. Exit code 1 when a test fails under any of them.
"""

import os
import subprocess
import sys
from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
RELEASES = (
    "1.41.0",  # 19 November 2025, the oldest that pyproject.toml admits
    "1.42.1",
    "1.42.50",
    "1.43.0",
    "1.43.67",  # the last one without timeouts of a request's own
    "1.43.68",
    "1.43.127",
    "1.44.0",
)


def installed(release):
    """Return the folder with *release*, installed when it was not."""
    folder = ROOT / ".conformance" / "botocore" / release
    if not (folder / "boto3").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
        wanted = [f"botocore=={release}", f"boto3=={release}"]
        subprocess.run([*pip, "--target", folder, *wanted], check=True)
    return folder


def tested(release):
    """Return the last lines of a test run, and whether it passed."""
    path = os.pathsep.join([str(installed(release)), str(ROOT)])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-m", "not real", "tests/botocore", "--ignore=tests/botocore/aio"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.strip().splitlines() or [done.stderr]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return done.returncode == 0, [*failed, lines[-1]]


def main():
    """Run the tests under each release."""
    status = 0
    for release in sys.argv[1:] or RELEASES:
        passed, lines = tested(release)
        status |= not passed
        print(f"botocore {release}: {lines[-1]}", flush=True)
        for line in lines[:-1]:
            print(f"  {line}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
