"""The awaited ways of reading of `aws_bodies.py --asyncio`."""

import asyncio
from typing import NamedTuple

import aiobotocore.session
from aiobotocore.config import AioConfig

import resilience
import resilience.botocore


MIB = 1 << 20


class Client(NamedTuple):
    """What a client is made of; it lives as long as one read."""

    url: str
    engine: resilience.PolicyEngine

    def run(self, read):
        """What *read* returns, given the body of the object."""
        return asyncio.run(self._run(read))

    async def _run(self, read):
        session = aiobotocore.session.AioSession()
        session.set_credentials("key", "secret")
        resilience.botocore.register(session, self.engine)
        config = AioConfig(s3={"addressing_style": "path"})
        more = {"endpoint_url": self.url, "config": config}
        async with session.create_client("s3", region_name="us-east-1", **more) as s3:
            answer = await s3.get_object(Bucket="bkt", Key="k")
            async with answer["Body"] as body:
                return await read(body)


client_of = Client


def by_awaited_chunks(client, sink):
    async def read(body):
        async for chunk in body.iter_chunks(MIB):
            sink.update(chunk)

    client.run(read)


def awaited_at_once(client, sink):
    async def read(body):
        sink.update(await body.read())

    client.run(read)


def by_awaited_readinto(client, sink):
    async def read(body):
        part = bytearray(MIB)
        while count := await body.readinto(part):
            sink.update(memoryview(part)[:count])

    client.run(read)


WAYS = (by_awaited_chunks, awaited_at_once, by_awaited_readinto)
