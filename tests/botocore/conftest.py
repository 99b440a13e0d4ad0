"""A scripted HTTP server that counts, sessions without a network, and a fast clock."""

import contextlib
import http.server
import os
import threading
import time

import boto3
import botocore.session
import pytest
from botocore.config import Config

import resilience
import resilience.botocore
from tests.botocore.cutting.proxy import CuttingProxy
from tests.botocore.faulting import FaultingProxy
from tests.botocore.stalling.certificates import make as make_certificates
from tests.botocore.stalling.server import StallingServer


class Clock:
    """Real time plus all the time that was slept away; sleeping is noted, not done."""

    def __init__(self):
        self.skipped = 0.0
        self.slept = []

    def now(self):
        return time.monotonic() + self.skipped

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.skipped += seconds

    async def asleep(self, seconds):
        self.sleep(seconds)


class Sink:
    """Keeps every record."""

    def __init__(self):
        self.records = []

    def emit(self, record):
        self.records.append(record)

    def of(self, kind):
        return [r for r in self.records if type(r).__name__ == kind]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the plans of the server's `wire`."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        wire = self.server.wire
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        headers = [(k.lower(), v) for k, v in self.headers.items()]
        wire.seen.append((self.command, self.path, headers, body))
        plan = wire.plans.pop(0) if wire.plans else wire.default
        if callable(plan):
            plan = plan(self)
        if plan == "drop":
            self.close_connection = True
            return
        status, more, content = (plan, {}, b"") if isinstance(plan, int) else plan
        self.send_response_only(status)
        for name, value in {"content-length": str(len(content)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that went away is what some tests are about."""


class Wire:
    """A server that answers by a list of plans, then 200, and keeps what it was sent.

    A plan is a status, a tuple (status, headers, body), "drop" (close without an
    answer), or a function of the handler.
    """

    def __init__(self):
        self.plans = []
        self.seen = []
        self.default = (200, {}, b"{}")
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.wire = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        thread = threading.Thread(
            target=self.server.serve_forever, args=(0.01,), daemon=True
        )
        thread.start()

    def header(self, name):
        return [dict(headers).get(name) for _, _, headers, _ in self.seen]

    @property
    def count(self):
        return len(self.seen)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def wire():
    server = Wire()
    yield server
    server.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def make_engine(clock, sink):
    """Return a function that makes an engine with rules for `aws: all`."""

    def make(rules=None, *, operations=None, mode="enforce"):
        # It judges from twenty calls on, so that tests can count failed ones.
        aws = {"all": {"breaker": {"kind": "classic"}, **(rules or {})}}
        if operations:
            aws["operations"] = operations
        policy = {"version": 1, "name": "t", "mode": mode, "aws": aws}
        return resilience.PolicyEngine.from_dict(
            policy, sinks=[sink], clock=clock, seed=1
        )

    return make


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch, tmp_path):
    """Nobody's AWS settings decide anything here."""
    for name in [*os.environ]:
        if name.startswith(("AWS_", "BOTO", "RESILIENCE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def loader():
    """Return one loader for all tests: reading models takes most of their time."""
    return botocore.session.Session().get_component("data_loader")


@pytest.fixture
def session(loader):
    inner = botocore.session.Session()
    inner.register_component("data_loader", loader)
    return boto3.Session(
        "key", "secret", region_name="us-east-1", botocore_session=inner
    )


@pytest.fixture
def connect(session, wire):
    """Return a function that makes a client of *wire*, protected by *engine*."""
    with contextlib.ExitStack() as stack:

        def make(service, engine=None, *, mode="standard", **config):
            if engine is not None:
                resilience.botocore.register(session, engine)
            retries = {"mode": mode, **config.pop("retries", {})}
            made = session.client(
                service,
                endpoint_url=config.pop("endpoint_url", wire.url),
                config=Config(retries=retries, **config),
            )
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture(scope="session")
def stalling_certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def serve(stalling_certificates):
    """Return a function that starts a server with a script."""
    with contextlib.ExitStack() as stack:

        def start(script, *, tls=False):
            made = StallingServer(script, stalling_certificates[1] if tls else None)
            stack.callback(made.close)
            return made

        yield start


@pytest.fixture
def dial(session, make_engine, stalling_certificates):
    """Return a function that makes a protected S3 client of a URL."""
    with contextlib.ExitStack() as stack:

        def make_client(url, engine=None, *, bare=False, workers=False, **more):
            engine = engine or make_engine({"breaker": "off"})
            if not bare:
                resilience.botocore.register(session, engine, worker_threads=workers)
            client = session.client(
                "s3",
                endpoint_url=url,
                verify=stalling_certificates[0],
                config=Config(s3={"addressing_style": "path"}, **more),
            )
            stack.callback(client.close)
            return client

        yield make_client


@pytest.fixture(scope="session")
def moto_server():
    """Return the address of a moto server, shared by the tests of this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


@pytest.fixture
def faulting(moto_server):
    """Return a proxy in front of moto, which begins empty."""
    proxy = FaultingProxy(moto_server)
    proxy.pass_on("POST", "/moto-api/reset", b"", {})
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def moto_address():
    """Return where moto's server listens, in a thread of this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


@pytest.fixture
def cutting_proxy(moto_address):
    """Return a proxy before moto's server that cuts and stalls as it is told."""
    made = CuttingProxy(moto_address)
    yield made
    made.close()


@pytest.fixture
def away():
    """A second region's server."""
    server = Wire()
    server.default = (200, {"x-amz-request-id": "there"}, b"")
    yield server
    server.close()


@pytest.fixture
def rule(away):
    """A failover to the second region, with one attempt in each."""
    place = {"region": "eu-west-1", "endpoint_url": away.url}
    place["rename"] = {"Bucket": {"orders": "orders-eu"}}
    return {"failover": [place], "retry": {"max_attempts": 1}}


@pytest.fixture
def s3_of(connect, make_engine, rule):
    """Return a function that makes an S3 client whose reads fail over."""

    def make(operations=None, *, mode="enforce", service="s3", **more):
        rules = {f"{service}.*": {**rule, **more}, **(operations or {})}
        return connect(service, make_engine(operations=rules, mode=mode))

    return make
