"""Others that stand around the same clients: wrappers, mocks, stubs."""

from unittest import mock

import pytest
from botocore.exceptions import ConnectionClosedError
from botocore.stub import Stubber

import resilience.botocore


register, unregister = resilience.botocore.register, resilience.botocore.unregister
NO_WAIT = mock.patch("botocore.endpoint.time.sleep")


def test_a_wrapper_on_the_client_stays(wire, connect, make_engine):
    """What somebody put around one client's calls is called, and given back."""
    client = connect("sqs", retries={"total_max_attempts": 1})
    native, seen = client._make_api_call, []

    def traced(operation_name, api_params):
        seen.append(operation_name)
        return native(operation_name, api_params)

    client._make_api_call = traced
    register(client, make_engine())
    client.list_queues()
    unregister(client)

    assert ["ListQueues"] == seen
    assert client._make_api_call is traced


def test_a_wrapper_around_ours_stays(wire, connect, make_engine):
    """Whoever wrapped ours keeps his wrapper; what is inside is bare from then on."""
    client = connect("sqs", retries={"total_max_attempts": 3})
    register(client, make_engine({"retry": {"max_attempts": 2}}))
    ours, seen = client._make_api_call, []

    def traced(operation_name, api_params):
        seen.append(operation_name)
        return ours(operation_name, api_params)

    client._make_api_call = traced
    unregister(client)
    wire.plans = ["drop"] * 9
    with NO_WAIT, pytest.raises(ConnectionClosedError):
        client.list_queues()

    assert ["ListQueues"] == seen
    assert 3 == wire.count


@pytest.mark.parametrize("kind", ["session", "client"])
def test_mocks_of_the_class(kind, connect, make_engine):
    """Who replaces `BaseClient._make_api_call` answers the calls, mock or function."""
    client = connect("sqs", make_engine() if kind == "session" else None)
    if kind == "client":
        register(client, make_engine())
    where = "botocore.client.BaseClient._make_api_call"
    with mock.patch(where, return_value={"QueueUrls": ["m"]}) as replaced:
        assert ["m"] == client.list_queues()["QueueUrls"]
    replaced.assert_called_once_with("ListQueues", {})

    def faked(self, operation_name, kwarg):
        assert self is client
        return {"QueueUrls": [operation_name]}

    with mock.patch(where, new=faked):
        assert ["ListQueues"] == client.list_queues()["QueueUrls"]


def test_mocks_of_moto_on_clients_that_exist(session, make_engine, monkeypatch):
    """A client that was made and registered before moto's mock began is answered."""
    from moto import mock_aws
    from moto.core import patch_client

    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = session.client("s3")
    register(client, make_engine())
    with mock_aws():
        patch_client(client)
        client.create_bucket(Bucket="orders")
        names = [found["Name"] for found in client.list_buckets()["Buckets"]]
    client.close()

    assert ["orders"] == names


def test_stubs_of_clients_that_exist(connect, make_engine):
    """A stubber that was there before, and one that comes after, answer as ever."""
    client = connect("sqs")
    with Stubber(client) as before:
        before.add_response("list_queues", {"QueueUrls": ["before"]})
        register(client, make_engine())
        answers = [client.list_queues()]
    with Stubber(client) as after:
        after.add_response("list_queues", {"QueueUrls": ["after"]})
        answers.append(client.list_queues())

    assert [["before"], ["after"]] == [answer["QueueUrls"] for answer in answers]
