"""Against moto's server, through a proxy that loses answers: what state is left.

The requests are executed for real; only the answer to the first matching one is lost.
"""

import http.client
import http.server
import threading

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from moto.server import ThreadedMotoServer

import resilience


pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


class Lossy(http.server.BaseHTTPRequestHandler):
    """Passes everything on; loses the answers that it is told to lose."""

    protocol_version = "HTTP/1.1"

    def pass_on(self):
        proxy = self.server
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        inner = http.client.HTTPConnection(*proxy.behind)
        inner.request(self.command, self.path, body, dict(self.headers.items()))
        answer = inner.getresponse()
        content = answer.read()
        proxy.count += 1
        if proxy.lose:
            proxy.lose -= 1
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "content-length"}:
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.pass_on
        raise AttributeError(name)

    def log_message(self, *args):
        pass


@pytest.fixture
def proxy(moto):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lossy)
    server.daemon_threads = True
    server.behind, server.lose, server.count = moto, 0, 0
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(proxy, connect, make_engine):
    url = f"http://127.0.0.1:{proxy.server_port}"

    def make(service, engine=None, **config):
        return connect(service, engine or make_engine(), endpoint_url=url, **config)

    return make


@pytest.fixture
def counter(client):
    """Return a DynamoDB client with a table that holds one counter."""
    dynamodb = client("dynamodb")
    dynamodb.create_table(
        TableName="n",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield dynamodb
    dynamodb.delete_table(TableName="n")


def add_one(dynamodb):
    return dynamodb.update_item(
        TableName="n",
        Key={"k": {"S": "a"}},
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def test_an_increment_is_not_doubled(counter, proxy):
    """UpdateItem counts once when its answer is lost, and the caller is told."""
    proxy.lose = 1
    with pytest.raises(ConnectionClosedError) as caught:
        add_one(counter)

    item = counter.get_item(TableName="n", Key={"k": {"S": "a"}})["Item"]
    assert {"N": "1"} == item["n"]
    assert resilience.report(caught.value).ambiguous


def test_a_put_is_repeated(counter, proxy):
    """PutItem without a condition writes the same item again."""
    proxy.lose = 1
    counter.put_item(TableName="n", Item={"k": {"S": "b"}})

    assert 1 == counter.scan(TableName="n")["Count"]


def test_a_conditional_put_is_no_false_failure(counter, proxy):
    """A repeat would be refused because of its own first write: it is not made."""
    proxy.lose = 1
    with pytest.raises(ConnectionClosedError) as caught:
        counter.put_item(
            TableName="n",
            Item={"k": {"S": "c"}},
            ConditionExpression="attribute_not_exists(k)",
        )

    report = resilience.report(caught.value)
    assert ("idempotency", True) == (report.reason, report.ambiguous)


def test_objects(client, proxy):
    """S3 round trips survive lost answers, and 404 is the caller's."""
    s3 = client("s3")
    s3.create_bucket(Bucket="orders")
    proxy.lose = 1
    s3.put_object(Bucket="orders", Key="1", Body=b"data")
    proxy.lose = 1

    assert b"data" == s3.get_object(Bucket="orders", Key="1")["Body"].read()
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="orders", Key="no such key")
    proxy.lose = 1
    with pytest.raises(ConnectionClosedError):
        s3.put_object(Bucket="orders", Key="3", Body=b"x", IfNoneMatch="*")


def test_a_message_is_sent_at_least_once(client, proxy):
    """A lost answer to SendMessage doubles the message rather than losing it."""
    sqs = client("sqs")
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    proxy.lose = 1
    sqs.send_message(QueueUrl=url, MessageBody="m")

    names = ["ApproximateNumberOfMessages"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
    assert "2" == found["Attributes"][names[0]]


def test_transfers(client, proxy, tmp_path):
    """boto3's transfers go through our calls in their own threads."""
    s3 = client("s3")
    s3.create_bucket(Bucket="files")
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(b"x" * 9_000_000)
    proxy.lose = 1
    s3.upload_file(str(source), "files", "big")
    proxy.lose = 1
    s3.download_file("files", "big", str(back))

    assert source.read_bytes() == back.read_bytes()


def test_waiters_and_paginators(client):
    """They loop above the client and work as ever."""
    s3 = client("s3")
    s3.create_bucket(Bucket="pages")
    s3.get_waiter("bucket_exists").wait(Bucket="pages")
    for name in "abc":
        s3.put_object(Bucket="pages", Key=name, Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket="pages", PaginationConfig={"PageSize": 1}
    )

    assert ["a", "b", "c"] == [page["Contents"][0]["Key"] for page in pages]


def test_a_batch_error_is_raised_as_ever(client):
    """What callers catch today they go on catching."""
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client("s3").list_objects_v2(Bucket="not-there")
