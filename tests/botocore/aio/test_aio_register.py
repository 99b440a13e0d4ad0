"""Sessions and clients of aiobotocore, registered and given back."""

import subprocess
import sys

import pytest
from botocore.exceptions import ClientError

import resilience.botocore


async def spend(client, wire):
    """How many attempts a call that always fails takes."""
    wire.seen, wire.plans = [], [500] * 9
    with pytest.raises(ClientError):
        await client.list_queues()
    wire.plans = []
    return wire.count


@pytest.fixture
def engines(make_engine):
    return [make_engine({"retry": {"max_attempts": n}}) for n in (2, 4)]


async def test_registering_again_replaces_the_engine(wire, connect, engines):
    """A client that exists has the last engine of its session, and one owner."""
    client = await connect("sqs", engines[0])
    counts = [await spend(client, wire)]
    for _ in range(2):
        resilience.botocore.register(client, engines[1])
    counts.append(await spend(client, wire))

    assert [2, 4] == counts


async def test_existing_client(wire, connect, engines, aio_session):
    """A client that exists is taken over and given back as it was."""
    client = await connect("sqs", retries={"total_max_attempts": 1})
    counts = [await spend(client, wire)]
    before = set(vars(client)) - {"_exceptions"}, set(vars(client._endpoint))
    for _ in range(2):
        resilience.botocore.register(client, engines[1])
    counts.append(await spend(client, wire))
    resilience.botocore.unregister(client)
    counts.append(await spend(client, wire))

    assert [1, 4, 1] == counts
    for opened in client._endpoint.http_session._sessions.values():
        assert opened._retry_connection
        assert "connect" not in vars(opened.connector)
    # botocore makes the exceptions of a client when the first is raised.
    left = set(vars(client)) - {"_exceptions"}, set(vars(client._endpoint))
    assert before == left


async def test_unregistered_session(wire, connect, engines, aio_session):
    """Its clients are bare from the next call on, and come back with it."""
    client = await connect("sqs", engines[1], retries={"total_max_attempts": 1})
    counts = [await spend(client, wire)]
    resilience.botocore.unregister(aio_session)
    counts.append(await spend(client, wire))
    resilience.botocore.register(aio_session, engines[0])
    counts.append(await spend(client, wire))

    assert [4, 1, 2] == counts


async def test_a_blocking_client_of_another_session(wire, connect, engines, session):
    """Blocking and awaited clients live side by side under one engine."""
    awaited = await connect("sqs", engines[0])
    resilience.botocore.register(session, engines[0])
    blocking = session.client("sqs", endpoint_url=wire.url)

    await awaited.list_queues()
    blocking.list_queues()
    blocking.close()

    assert 2 == wire.count


async def test_calls_stay_coroutines(connect, engines):
    """Nothing is sent before a call is awaited."""
    client = await connect("sqs", engines[0])

    call = client.list_queues()

    assert hasattr(call, "__await__")
    call.close()


def test_botocores_users_load_nothing_of_it():
    """`import resilience.botocore` and a blocking client need neither of them."""
    program = (
        "import sys, boto3, resilience, resilience.botocore as b\n"
        "s = boto3.Session('k', 's', region_name='us-east-1')\n"
        "b.register(s, resilience.PolicyEngine())\n"
        "s.client('sqs')\n"
        "loaded = {'aiobotocore', 'aiohttp', 'resilience.botocore.aio'}\n"
        "sys.exit(' '.join(loaded & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (0, "") == (done.returncode, done.stderr)
