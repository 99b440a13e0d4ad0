"""Deadlines in processes of their own: after a fork, and under gevent."""

import subprocess
import sys
import textwrap

import pytest
from botocore.httpsession import URLLib3Session


BEGIN = """
import os, threading, time
import boto3
import resilience, resilience.botocore
from botocore.config import Config
from tests.botocore.stalling.modes import _list, accepts
from tests.botocore.stalling.server import StallingServer

os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
engine = resilience.PolicyEngine.from_text("version: 1\\nname: t\\n", sinks=[])
session = boto3.Session("key", "secret", region_name="us-east-1")
resilience.botocore.register(session, engine, worker_threads=WORKERS)

def client_of(url):
    config = Config(s3={"addressing_style": "path"})
    return session.client("s3", endpoint_url=url, config=config)

def late(client, seconds):
    began = time.monotonic()
    try:
        with resilience.deadline(seconds):
            _list(client)
    except Exception as error:
        assert type(error).__name__ == "ReadTimeoutError", error
    return time.monotonic() - began - seconds
"""


def run(body, *, workers=False, first=""):
    """Run *body* in a process of its own, which may fork or patch as it likes."""
    code = f"{first}\nWORKERS = {workers}\n{BEGIN}{textwrap.dedent(body)}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.real
@pytest.mark.parametrize("workers", [False, True])
def test_a_child_has_deadlines(workers):
    """After a fork no thread, lock or place of the parent is waited for."""
    run(
        """
        from resilience.botocore import resolving, worker
        server = StallingServer(accepts)
        client = client_of(server.url.replace("127.0.0.1", "localhost"))
        assert late(client, 0.3) < 2
        for _ in range(resolving.MOST):
            resolving._places.acquire()
        worker._threads._left = worker.MOST
        pid = os.fork()
        if pid == 0:
            os._exit(0 if late(client, 0.3) < 2 else 1)
        assert os.waitpid(pid, 0)[1] == 0
        print("done")
        """,
        workers=workers,
    )


@pytest.mark.real
@pytest.mark.parametrize("workers", [False, True])
def test_gevent(workers):
    """Under gevent sockets are gevent's: others run on while a call waits."""
    pytest.importorskip("gevent")
    run(
        """
        import gevent
        ticks = []
        def tick():
            while True:
                gevent.sleep(0.01)
                ticks.append(1)
        gevent.spawn(tick)
        client = client_of(StallingServer(accepts).url)
        late(client, 0.5)
        ticks.clear()
        jobs = [gevent.spawn(late, client, 0.5) for _ in range(5)]
        gevent.joinall(jobs, raise_error=True)
        assert max(job.value for job in jobs) < 1, [job.value for job in jobs]
        assert len(ticks) > 10, len(ticks)
        print("done")
        """,
        workers=workers,
        first="from gevent import monkey; monkey.patch_all()",
    )


@pytest.mark.skipif(
    not hasattr(URLLib3Session, "_get_request_timeout"),
    reason="this botocore has no timeout of a request's own",
)
@pytest.mark.real
def test_another_shape_is_no_failure():
    """What a future botocore or urllib3 has otherwise costs precision, not calls."""
    run(
        """
        def answers(peer):
            while peer.request():
                peer.send(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n")
        client = client_of(StallingServer(answers).url)
        with resilience.deadline(5):
            client.head_object(Bucket="orders", Key="1")
        assert late(client_of(StallingServer(accepts).url), 0.3) < 2
        print("done")
        """,
        first='import sys\nsys.modules["resilience.botocore.connections"] = None',
    )
