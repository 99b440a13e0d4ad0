"""The process that makes the writes of `aws_rounds.py --asyncio`; see `aws_caller.py`.

Its clients belong to the event loop that uses them, so they are made when it starts;
what they are made of is read once, in the fork server.
"""

import asyncio
import contextlib

import aiobotocore.session
from aiobotocore.config import AioConfig
from aws_caller import POLICY, URL, done, failed, write

import resilience
import resilience.botocore


SESSION = aiobotocore.session.AioSession()
SESSION.set_credentials("key", "secret")
resilience.botocore.register(SESSION, resilience.PolicyEngine.from_text(POLICY))


async def _clients(stack):
    config = AioConfig(s3={"addressing_style": "path"})
    more = {"endpoint_url": URL, "config": config, "verify": False}
    return {
        name: await stack.enter_async_context(
            SESSION.create_client(name, region_name="us-east-1", **more)
        )
        for name in ("s3", "dynamodb", "sqs")
    }


async def _serve(connection):
    async with contextlib.AsyncExitStack() as stack:
        clients = await _clients(stack)
        while connection is not None:
            received = await asyncio.to_thread(connection.recv)
            kind, name, key, extra = received
            scope = resilience.idempotency_key(key) if key else contextlib.nullcontext()
            try:
                with scope:
                    # What makes the call blocks in a blocking client only.
                    answer = await write(clients, kind, name, extra)
            except Exception as error:  # noqa: BLE001 - any exception is a result here
                connection.send(failed(error))
            else:
                connection.send(done(answer))


def serve(connection):
    """Make the writes that come over *connection*, until it closes."""
    with contextlib.suppress(EOFError):
        asyncio.run(_serve(connection))


asyncio.run(_serve(None))
