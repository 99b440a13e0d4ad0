"""Clients of aiobotocore, beside the servers of the blocking tests.

aiobotocore pins an older botocore, so it is there in one environment only: elsewhere
nothing here is collected. Where `RESILIENCE_TEST_AIOBOTOCORE=1` says that it must be
there, its absence is an error.
"""

import contextlib
import os
from importlib.util import find_spec

import pytest


if find_spec("aiobotocore") is None:
    collect_ignore_glob = ["test_*.py"]
    if os.environ.get("RESILIENCE_TEST_AIOBOTOCORE") == "1":
        msg = "aiobotocore is not installed: pip install aiobotocore"
        raise pytest.UsageError(msg)


def https():
    """The HTTP sessions of aiobotocore that are installed."""
    from aiobotocore.httpsession import AIOHTTPSession

    found = {"aiohttp": AIOHTTPSession}
    if find_spec("httpx2") is not None:
        from aiobotocore.httpxsession import HttpxSession

        found["httpx"] = HttpxSession
    return found


def pytest_generate_tests(metafunc):
    """Run what asks for `http` with each session that is installed."""
    if "http" in metafunc.fixturenames:
        found = https()
        metafunc.parametrize("http", found.values(), ids=found)


@pytest.fixture(scope="session")
def aio_loader():
    """Return one loader for all tests: reading models takes most of their time."""
    import botocore.session

    return botocore.session.Session().get_component("data_loader")


@pytest.fixture
def aio_session(aio_loader):
    from aiobotocore.session import AioSession

    made = AioSession()
    made.register_component("data_loader", aio_loader)
    made.set_credentials("key", "secret")
    made.set_config_variable("region", "us-east-1")
    return made


@pytest.fixture
async def connect(aio_session, wire):
    """Return a function that makes an awaited client, protected by *engine*."""
    from aiobotocore.config import AioConfig

    import resilience.botocore

    async with contextlib.AsyncExitStack() as stack:

        async def make(service, engine=None, *, mode="standard", **config):
            if engine is not None:
                resilience.botocore.register(aio_session, engine)
            retries = {"mode": mode, **config.pop("retries", {})}
            url = config.pop("endpoint_url", wire.url)
            verify = config.pop("verify", None)
            http = config.pop("http", None) or https()["aiohttp"]
            s3 = {"addressing_style": "path"}
            client = await stack.enter_async_context(
                aio_session.create_client(
                    service,
                    endpoint_url=url,
                    verify=verify,
                    config=AioConfig(
                        retries=retries, http_session_cls=http, s3=s3, **config
                    ),
                )
            )
            # Certificates are read when a session is first used.
            await client._endpoint.http_session._get_session(None)
            return client

        yield make
