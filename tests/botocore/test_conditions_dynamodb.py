"""Keyed writes to DynamoDB against moto, with answers and requests lost.

The server executes for real; each test looks at what is left there.
"""

import pytest
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ParamValidationError,
)

import resilience
from resilience.botocore.conditions_dynamodb import ATTRIBUTE
from tests.botocore.faulting import make_table


pytestmark = pytest.mark.real

KEYED = {"dynamodb.*": {"idempotency": "keyed"}}
AMBIGUOUS = ["after", "500 after"]


@pytest.fixture
def engine(make_engine):
    return make_engine({"breaker": "off"}, operations=KEYED)


@pytest.fixture
def dynamodb(faulting, connect, engine):
    made = connect("dynamodb", engine, endpoint_url=faulting.url)
    make_table(made)
    faulting.seen.clear()
    return made


ITEM = {"k": {"S": "a"}, "n": {"N": "1"}}
ABSENT = {"ConditionExpression": "attribute_not_exists(k)"}


def items(dynamodb):
    return dynamodb.scan(TableName="t")["Items"]


@pytest.mark.parametrize("fault", [*AMBIGUOUS, "before", "500 before"])
@pytest.mark.parametrize("condition", [{}, ABSENT])
def test_an_item_is_put_once(condition, fault, dynamodb, faulting):
    """A refused repeat of our own write is the success that it was."""
    real = dynamodb.put_item(TableName="t", Item={**ITEM, "k": {"S": "b"}}, **condition)
    faulting.plan = [fault]
    answer = dynamodb.put_item(TableName="t", Item=ITEM, **condition)

    (item,) = (item for item in items(dynamodb) if item["k"] == {"S": "a"})
    assert {"k", "n", ATTRIBUTE} == {*item}
    assert {*real} == {*answer}
    assert 200 == answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("condition", [{}, ABSENT])
def test_every_answer_about_an_item_is_lost(condition, dynamodb, faulting):
    """When no attempt is left, the item is read."""
    faulting.plan = ["after"] * 9
    dynamodb.put_item(TableName="t", Item=ITEM, **condition)

    assert 1 == len(items(dynamodb))
    assert 1 == faulting.count("POST", "GetItem")


def test_anothers_item_is_a_refusal(dynamodb, faulting):
    """The condition failed for real, and the error looks as it does bare."""
    dynamodb.put_item(TableName="t", Item=ITEM)
    faulting.plan = ["before"]
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        dynamodb.put_item(TableName="t", Item=ITEM, **ABSENT)

    assert "Item" not in caught.value.response
    assert 1 == len(items(dynamodb))


def test_the_refused_item_is_shown_when_asked(dynamodb):
    """A caller who asks for the item that was in the way gets it."""
    dynamodb.put_item(TableName="t", Item=ITEM)
    with pytest.raises(ClientError) as caught:
        dynamodb.put_item(
            TableName="t",
            Item=ITEM,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **ABSENT,
        )

    assert "Item" in caught.value.response


def test_the_resource_api(session, faulting, engine, connect):
    """boto3's tables, with Python types and condition objects, are protected alike."""
    make_table(connect("dynamodb", engine, endpoint_url=faulting.url))
    table = session.resource("dynamodb", endpoint_url=faulting.url).Table("t")
    faulting.plan = ["after"]
    table.put_item(Item={"k": "a", "n": 1}, ConditionExpression=Attr("k").not_exists())

    (item,) = table.scan()["Items"]
    assert ("a", 1, True) == (item["k"], item["n"], isinstance(item[ATTRIBUTE], str))
    table.meta.client.close()


@pytest.mark.parametrize("rule", ["auto", "keyed"])
def test_an_increment_is_never_repeated(rule, faulting, connect, make_engine):
    """UpdateItem cannot be made safe: the real error, and what to look at."""
    rules = {"dynamodb.UpdateItem": {"idempotency": rule}}
    client = connect(
        "dynamodb", make_engine(operations=rules), endpoint_url=faulting.url
    )
    make_table(client)
    faulting.plan = ["after"]
    with pytest.raises(ConnectionClosedError) as caught:
        client.update_item(
            TableName="t",
            Key={"k": {"S": "a"}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    report = resilience.report(caught.value)
    assert {"N": "1"} == items(client)[0]["n"]
    assert ("idempotency", True) == (report.reason, report.ambiguous)
    assert "to find out: GetItem with ConsistentRead" in str(report)


def test_nothing_is_added_where_nobody_asked(faulting, connect, make_engine):
    """Under the built-in policy requests go out as bare, a key around them or not."""
    dynamodb = connect("dynamodb", make_engine(), endpoint_url=faulting.url)
    make_table(dynamodb)
    with resilience.idempotency_key("k"):
        dynamodb.put_item(TableName="t", Item=ITEM)

    assert [ITEM] == items(dynamodb)


def test_the_callers_own_attribute_stays(dynamodb, faulting):
    """An id that the caller put there is used as it is."""
    item = {**ITEM, ATTRIBUTE: {"S": "mine"}}
    for _ in range(2):
        faulting.plan = ["after"]
        dynamodb.put_item(TableName="t", Item=item)

    assert [item] == items(dynamodb)


@pytest.mark.parametrize(
    "more",
    [{"ReturnValues": "ALL_OLD"}, {"Expected": {"k": {"Exists": False}}}],
)
def test_what_cannot_be_answered_is_not_repeated(more, dynamodb, faulting):
    """Old values are gone after the first write; a legacy condition stands alone."""
    faulting.plan = ["after"]
    with pytest.raises(ConnectionClosedError) as caught:
        dynamodb.put_item(TableName="t", Item=ITEM, **more)

    assert [ITEM] == items(dynamodb)
    assert resilience.report(caught.value).ambiguous


def test_a_refusal_that_shows_no_item(dynamodb, faulting):
    """Where the caller wants none in the error the item is read."""
    faulting.plan = ["after"]
    dynamodb.put_item(
        TableName="t", Item=ITEM, ReturnValuesOnConditionCheckFailure="NONE"
    )

    assert 1 == len(items(dynamodb))
    assert 1 == faulting.count("POST", "GetItem")


def test_what_is_no_item_is_for_botocore(dynamodb):
    """Wrong parameters raise what they raise bare."""
    with pytest.raises(ParamValidationError):
        dynamodb.put_item(TableName="t", Item="nothing")
