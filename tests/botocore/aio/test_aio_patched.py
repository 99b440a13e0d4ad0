"""A mock in the place of aiobotocore's sending is asked, as bare."""

from unittest import mock

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

import resilience
import resilience.botocore


async def test_a_mock_that_comes_after_a_call_is_given_the_request_only():
    """`AioEndpoint._send` patched after a call gets what it gets bare."""
    session = AioSession()
    resilience.botocore.register(session, resilience.PolicyEngine())
    made = session.create_client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=AioConfig(retries={"total_max_attempts": 1, "mode": "standard"}),
    )
    async with made as client:
        with pytest.raises(Exception, match="Could not connect"):
            await client.list_tables()
        with (
            mock.patch(
                "aiobotocore.endpoint.AioEndpoint._send",
                new_callable=mock.AsyncMock,
                side_effect=ValueError("asked"),
            ) as sent,
            pytest.raises(ValueError, match="asked"),
        ):
            await client.list_tables()

    (request,) = sent.call_args.args
    assert "http://127.0.0.1:9/" == request.url
