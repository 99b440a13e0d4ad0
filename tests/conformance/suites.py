"""Which foreign tests are run, and what each set of them needs to run at all.

A suite is the `tests` folder of one source distribution, or a part of it, with the
settings that its own project gives to pytest. Nothing here decides about results.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One set of foreign tests."""

    distribution: str
    """Its source distribution of the installed version carries the tests."""
    paths: tuple[str, ...]
    """Files and folders below the unpacked source distribution."""
    files: tuple[str, ...] = ("tests",)
    """What is unpacked."""
    settings: str = ""
    """Lines of its pytest.ini."""
    arguments: tuple[str, ...] = ()
    """More words for pytest."""
    sweeps: str = ""
    """An expression for the files that go through the models of all services and make
    few calls or none: left out of a quick run."""
    needs: tuple[str, ...] = ()
    """Packages that its tests import, without what is installed anyway."""


BOTOCORE_SETTINGS = """\
markers =
  slow:
  validates_models:
"""
MOTO_SETTINGS = """\
markers =
  network:
  requires_docker:
  aws_verified:
  requires_clean_slate:
"""
# As aiobotocore's own pyproject.toml has it: a coroutine that nobody awaited and a
# socket that nobody closed fail the test.
AIOBOTOCORE_SETTINGS = """\
anyio_mode = auto
pythonpath = scripts
filterwarnings =
  default
  error:coroutine .* was never awaited:RuntimeWarning
  error::ResourceWarning
  error::pytest.PytestUnraisableExceptionWarning
xfail_strict = true
markers =
  localonly
  config_kwargs
  patch_attributes
"""

SUITES = {
    "botocore": Suite(
        distribution="botocore",
        paths=("tests/functional", "tests/unit"),
        settings=BOTOCORE_SETTINGS,
        arguments=("-p", "no:warnings"),
        sweeps=(
            r"/docs/|/leak/|configured_endpoint_urls|auth_config|class_names|"
            r"test_endpoint(s|_rulesets)\.py|event_alias|model_|module_names|"
            r"paginator_config|(functional|unit)/test_regions|response_shadowing|"
            r"service_|waiter_config|unit/test_protocols"
        ),
    ),
    # Its integration tests need an account; those against moto are in other suites.
    "s3transfer": Suite(
        distribution="s3transfer",
        paths=("tests/functional", "tests/unit"),
        settings=BOTOCORE_SETTINGS,
        arguments=("-p", "no:warnings"),
    ),
    "moto": Suite(
        distribution="moto",
        paths=("tests/test_s3", "tests/test_dynamodb", "tests/test_sqs"),
        settings=MOTO_SETTINGS,
        arguments=(
            *("-p", "no:warnings"),
            *("-m", "not network and not requires_docker"),
        ),
        needs=("freezegun",),
    ),
    # Both of its backends exist only where httpx does; aiohttp is the default one.
    "aiobotocore": Suite(
        distribution="aiobotocore",
        paths=("tests",),
        files=("tests", "scripts", "CHANGES.rst", "pyproject.toml"),
        settings=AIOBOTOCORE_SETTINGS,
        arguments=(
            *("-p", "no:asyncio"),
            "--import-mode=importlib",
            *("-m", "not localonly"),
            "--http-backend=aiohttp",
        ),
        needs=(
            "anyio",
            "dill",
            "outcome",
            "pytest-mock",
            "sniffio",
            "sortedcontainers",
            "time-machine",
            "tiny-proxy",
            "trio",
            "trustme",
        ),
    ),
}
