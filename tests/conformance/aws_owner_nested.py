"""Calls inside calls and redirects, for aws_owner.py: as in a bare client, uncharged.

Each case is one call at a scripted server. It must be answered, by as many requests as
a bare client makes, and the records must say one attempt of the call itself and one of
each call inside, a repeat of those excepted.
"""

from botocore.config import Config

import resilience
import resilience.botocore
from tests.botocore.conftest import Clock, Sink


MODES = ("legacy", "standard", "adaptive")
OURS = ("enforce", "observe", "bypass")
BREAKER = {
    "kind": "classic",
    "min_calls": 1,
    "window": "10 calls",
    "failure_ratio": 0.1,
    "scope": ["service", "method"],
}
"""One failure that is charged to a call opens its breaker, so that it is not repeated:
only where nothing is to be."""
REGION = {"x-amz-bucket-region": "eu-west-1", "content-type": "application/xml"}
JSON = {"content-type": "application/x-amz-json-1.0"}


def _error(code, more="<Region>eu-west-1</Region>"):
    return f"<Error><Code>{code}</Code>{more}</Error>".encode()


def _json(status, text):
    return (status, JSON, text.encode())


DISCOVERED = _json(
    200, '{"Endpoints": [{"Address": "http://there.aws", "CachePeriodInMinutes": 9}]}'
)
ROWS = _json(200, '{"QueryId": "q", "Rows": [], "ColumnInfo": []}')
MOVED = _json(421, '{"__type": "InvalidEndpointException", "message": "moved"}')
CREDENTIALS = """<Credentials><AccessKeyId>ASIA</AccessKeyId>
<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"""
SESSION = (
    200,
    {"content-type": "application/xml"},
    f"<CreateSessionResult>{CREDENTIALS}</CreateSessionResult>".encode(),
)
ROLE = (
    200,
    {"content-type": "text/xml"},
    (
        f"<AssumeRoleResponse><AssumeRoleResult>{CREDENTIALS}"
        "</AssumeRoleResult></AssumeRoleResponse>"
    ).encode(),
)
DATA = (200, {}, b"data")
QUEUES = _json(200, "{}")
PROFILE = """
[profile one]
role_arn=arn:aws:iam::123456789012:role/one
source_profile=two
region=us-east-1
[profile two]
aws_access_key_id=k
aws_secret_access_key=s
"""


def get(bucket="b"):
    """Return a call that reads an object."""
    return lambda client: client.get_object(Bucket=bucket, Key="k")["Body"].read()


def head(client):
    """Ask for an object's head."""
    client.head_object(Bucket="b", Key="k")


EXPRESS = "b--use1-az4--x-s3"
SCRIPTS = {
    # name: (service, way of reaching the server, answers, call, attempts of each call)
    "S3 301": (
        "s3",
        "direct",
        [(301, REGION, _error("PermanentRedirect")), DATA],
        get(),
    ),
    "S3 307": (
        "s3",
        "direct",
        [(307, REGION, _error("TemporaryRedirect")), DATA],
        get(),
    ),
    "S3 400": (
        "s3",
        "direct",
        [(400, REGION, _error("AuthorizationHeaderMalformed")), DATA],
        get(),
    ),
    "S3 400 to HEAD": ("s3", "direct", [(400, REGION, b""), DATA], head),
    "S3 301, then HeadBucket": (
        "s3",
        "direct",
        [(301, {}, _error("PermanentRedirect", "")), (200, REGION, b""), DATA],
        get(),
    ),
    "endpoint discovery": (
        "timestream-query",
        "proxy",
        [DISCOVERED, ROWS],
        lambda client: client.query(QueryString="q"),
    ),
    "endpoint moved": (
        "timestream-query",
        "proxy",
        [DISCOVERED, MOVED, DISCOVERED, ROWS],
        lambda client: client.query(QueryString="q"),
    ),
    "S3 Express": ("s3", "proxy", [SESSION, DATA], get(EXPRESS)),
    "S3 Express, CreateSession repeated": (
        "s3",
        "proxy",
        [500, SESSION, DATA],
        get(EXPRESS),
    ),
    "assume a role": ("sqs", "role", [ROLE, QUEUES], lambda c: c.list_queues()),
    "assume a role, STS repeated": (
        "sqs",
        "role",
        [500, ROLE, QUEUES],
        lambda c: c.list_queues(),
    ),
}
ATTEMPTS = {
    "S3 301, then HeadBucket": ["HeadBucket 1", "GetObject 1"],
    "S3 400 to HEAD": ["HeadObject 1"],
    "endpoint discovery": ["DescribeEndpoints 1", "Query 1"],
    "endpoint moved": ["DescribeEndpoints 1", "DescribeEndpoints 1", "Query 1"],
    "S3 Express": ["CreateSession 1", "GetObject 1"],
    "S3 Express, CreateSession repeated": ["CreateSession 2", "GetObject 1"],
    "assume a role": ["AssumeRole 1", "ListQueues 1"],
    "assume a role, STS repeated": ["AssumeRole 2", "ListQueues 1"],
}


def cases(place, *, short):
    """Yield (case, expected, counted)."""
    for mode in MODES[1:2] if short else MODES:
        for name, (service, way, answers, call) in SCRIPTS.items():
            for ours in OURS[:1] if short else OURS:
                sink = Sink()
                breaker = "off" if "repeated" in name else BREAKER
                engine = resilience.PolicyEngine.from_dict(
                    {
                        "version": 1,
                        "name": "t",
                        "mode": ours,
                        "aws": {"all": {"breaker": breaker}},
                    },
                    sinks=[sink],
                    clock=Clock(),
                )
                wire = place.wire
                wire.seen.clear()
                wire.plans = [*answers]
                told = "answered"
                client = None
                try:
                    client = _client(place, way, service, mode, engine)
                    with place.surroundings(*_surroundings(place, way)):
                        call(client)
                except Exception as error:  # noqa: BLE001 - told below
                    told = repr(error)
                finally:
                    if client is not None:
                        client.close()
                case = f"{name}, {mode}, {ours}"
                yield case, ("answered", len(answers)), (told, wire.count)
                ends = [
                    f"{end.target.method} {end.attempts}"
                    for end in sink.of("CallEnded")
                    if end.target.protocol == "aws"
                ]
                expected = ATTEMPTS.get(name, ["GetObject 1"])
                yield f"{case}: calls", [] if ours == "bypass" else expected, ends
                wire.plans = []


def _surroundings(place, way):
    if way == "role":
        return {"AWS_PROFILE": "one", "AWS_ENDPOINT_URL_STS": place.wire.url}, PROFILE
    return {}, ""


def _client(place, way, service, mode, engine):
    with place.surroundings(*_surroundings(place, way)):
        session = place.session()
        resilience.botocore.register(session, engine)
        more = {"retries": {"mode": mode}}
        if way == "proxy":
            more["proxies"] = {"http": place.wire.url}
            return session.client(service, use_ssl=False, config=Config(**more))
        return session.client(
            service,
            endpoint_url=place.wire.url,
            config=Config(s3={"addressing_style": "path"}, **more),
        )
