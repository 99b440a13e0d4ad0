"""By how much does an awaited call outlive its deadline when the server stalls?

The rows of `aws_overrun.py` on asyncio: aiobotocore with aiohttp, and with httpx where
it is installed. The idle control sleeps on the same loop.
"""

import asyncio
import contextlib
import pathlib
import statistics
import sys
import tempfile
import time

import aiobotocore.session
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import BotoCoreError, ClientError

import resilience
import resilience.botocore
from benchmarks.aws_overrun import DEADLINE_S, ENGINE, RUNS, freeze, slow_names
from tests.botocore.stalling.certificates import make
from tests.botocore.stalling.modes import MODES, _get, _list, accepts
from tests.botocore.stalling.server import StallingServer, Unreachable


OBJECT = b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\netag: "


def drips_object(peer):
    """The body of an object, byte after byte."""
    peer.handshake()
    peer.request()
    peer.send(OBJECT + b'"a"\r\n\r\n')
    peer.drip(b"x" * 4000)


def stalls_object(peer):
    """The body of an object that stops."""
    peer.handshake()
    peer.request()
    peer.send(OBJECT + b'"a"\r\n\r\nx')
    peer.stall()


async def _read(client):
    answer = await _get(client)
    await answer["Body"].read()


def sessions():
    """The HTTP sessions that are installed, by name."""
    found = {"aiohttp": AIOHTTPSession}
    with contextlib.suppress(ImportError, AttributeError):
        from aiobotocore import httpxsession

        if httpxsession.httpx is not None:
            found["httpx"] = httpxsession.HttpxSession
    return found


def client_of(url, http, *, verify=None):
    """An S3 client with our hooks, as a context manager."""
    session = aiobotocore.session.AioSession()
    session.set_credentials("key", "secret")
    resilience.botocore.register(session, ENGINE)
    more = {}
    if http is AIOHTTPSession:  # each run asks for the name again
        more["connector_args"] = {"use_dns_cache": False}
    config = AioConfig(s3={"addressing_style": "path"}, http_session_cls=http, **more)
    return session.create_client(
        "s3", region_name="us-east-1", endpoint_url=url, verify=verify, config=config
    )


async def overrun(call) -> tuple[float, str]:
    """How late *call* ends, in ms, and in what."""
    ended = "an answer"
    began = time.monotonic()
    try:
        with resilience.deadline(DEADLINE_S):
            await call()
    except (BotoCoreError, ClientError) as error:
        ended = type(error).__name__
    return (time.monotonic() - began - DEADLINE_S) * 1000, ended


async def idle() -> None:
    await asyncio.sleep(DEADLINE_S)


async def cases(http, bundle, context):
    """Yield (name, what to call)."""
    modes = {name: (m.script, m.call, m.tls_only) for name, m in MODES.items()}
    modes["drips an object body"] = (drips_object, _read, False)
    modes["stalls in an object body"] = (stalls_object, _read, False)
    for scheme in ("http", "https"):
        for name, (script, call, tls_only) in modes.items():
            if tls_only and scheme == "http":
                continue
            server = StallingServer(script, context if scheme[4:] else None)
            async with client_of(server.url, http, verify=bundle) as client:
                yield f"{name} ({scheme})", lambda c=client, do=call: do(c)
            server.close()
    unreachable = Unreachable()
    async with client_of(unreachable.url, http) as client:
        yield "stalls in connect (http)", lambda c=client: _list(c)
    unreachable.close()
    with slow_names():
        async with client_of("http://slow.example:1", http) as client:
            yield "stalls in DNS (http)", lambda c=client: _list(c)
    server = StallingServer(accepts)

    async def refresh(**_):
        await asyncio.sleep(3)

    async with client_of(server.url, http) as client:
        client.meta.events.register_first("request-created.s3", refresh)
        yield "stalls in credentials", lambda c=client: _list(c)
    server.close()


async def measure(runs: int) -> str:
    """The figures as text."""
    title = "asyncio: overrun of a 0.5 s deadline, ms"
    lines = [f"{title:46}{'median':>8}{'most':>8}{'idle':>12}"]
    worst = idlest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        bundle, context = make(pathlib.Path(folder))
        for word, http in sessions().items():
            async for name, call in cases(http, bundle, context):
                freeze()
                ours, control, ends = [], [], set()
                for _ in range(runs):
                    late, end = await overrun(call)
                    ours.append(late)
                    ends.add(end)
                    control.append((await overrun(idle))[0])
                worst, idlest = max(worst, *ours), max(idlest, *control)
                lines.append(
                    f"{word + ': ' + name:46}{statistics.median(ours):8.1f}"
                    f"{max(ours):8.1f}{statistics.median(control):6.1f}"
                    f"{max(control):6.1f}  {', '.join(sorted(ends))}"
                )
    lines.append(
        f"at most {worst:.1f} ms late (goal: 50 at most, 10 in the median); "
        f"this machine, idle: at most {idlest:.1f} ms"
    )
    return "\n".join(lines)


def report(runs: int = RUNS) -> str:
    """The figures as text; needs aiobotocore."""
    return asyncio.run(measure(runs))


if __name__ == "__main__":
    print(report(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS))
