"""What tests of users put in the place of botocore's own functions is asked, as bare.

It may be there before our first call or come after it; a mock is given no `self`.
"""

from typing import Any
from unittest import mock

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

import resilience
import resilience.botocore


@pytest.fixture(params=["session", "client"])
def dynamodb(request: pytest.FixtureRequest) -> Any:
    """A registered client for an address where nobody answers."""
    session = boto3.Session("key", "secret", region_name="us-east-1")
    engine = resilience.PolicyEngine()
    if request.param == "session":
        resilience.botocore.register(session, engine)
    client = session.client(
        "dynamodb",
        endpoint_url="http://127.0.0.1:9",
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
    )
    if request.param == "client":
        resilience.botocore.register(client, engine)
    return client


@pytest.fixture
def answer() -> AWSResponse:
    """An empty table list, as botocore's endpoint hands it on."""
    raw = mock.Mock()
    raw.stream.return_value = iter([b'{"TableNames": []}'])
    return AWSResponse("http://127.0.0.1:9", 200, {}, raw)


def test_a_mock_in_place_of_sending_is_given_the_request_only(
    dynamodb: Any, answer: AWSResponse
):
    """`Endpoint._send` patched before the first call gets what it gets bare."""
    with mock.patch("botocore.endpoint.Endpoint._send", return_value=answer) as sent:
        dynamodb.list_tables()

    (request,) = sent.call_args.args
    assert "http://127.0.0.1:9/" == request.url


def test_a_mock_that_comes_after_a_call_is_asked(dynamodb: Any, answer: AWSResponse):
    """`Endpoint._send` patched after a call is asked by the next one."""
    with pytest.raises(Exception, match="Could not connect"):
        dynamodb.list_tables()
    with mock.patch("botocore.endpoint.Endpoint._send", return_value=answer) as sent:
        dynamodb.list_tables()

    assert 1 == sent.call_count


def test_a_function_in_place_of_sending_is_a_method(dynamodb: Any, answer: AWSResponse):
    """A function put there is bound to the endpoint, as bare."""
    seen = []

    def send(self: Any, request: Any) -> AWSResponse:
        seen.append((self, request.url))
        return answer

    with mock.patch("botocore.endpoint.Endpoint._send", send):
        dynamodb.list_tables()

    assert [(dynamodb._endpoint, "http://127.0.0.1:9/")] == seen


def test_a_mock_in_place_of_the_call_is_asked(dynamodb: Any):
    """`BaseClient._make_api_call` patched with a mock gets name and parameters."""
    with mock.patch("botocore.client.BaseClient._make_api_call") as called:
        called.return_value = {"TableNames": ["t"]}
        found = dynamodb.list_tables(Limit=1)

    assert {"TableNames": ["t"]} == found
    assert ("ListTables", {"Limit": 1}) == called.call_args.args
