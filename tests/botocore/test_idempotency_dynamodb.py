"""Which updates of an item may be repeated: those that set the same again."""

import re

import pytest
from botocore.exceptions import ConnectionClosedError

import resilience
from resilience.botocore.idempotency_dynamodb import sets_the_same
from tests.botocore.faulting import make_table


SAME = [
    "SET a = :v",
    "set #a = :v , b.c=:w",
    "SET a = :v REMOVE b, c.d",
    " REMOVE b SET a = :v ",
    "DELETE colours :s",
    "ADD colours :s",
    "SET a=:v ADD colours :s, #more :t REMOVE b",
]
MORE = [
    "ADD n :one",
    "ADD colours :s, n :one",
    "SET n = n + :one",
    "SET n = :one + n",
    "SET n = :one - :v",
    "SET l = list_append(l, :l)",
    "SET a = b",
    "SET a = if_not_exists(b, :v)",
    "SET l[9] = :v",
    "REMOVE l[0]",
    "SET a = :v ADD n :one",
    "add n :one set a = :v",
    "SET a = :v, n = n + :one",
    "",
    "something else",
]
VALUES = {
    ":v": {"S": "x"},
    ":w": {"S": "y"},
    ":s": {"SS": ["red"]},
    ":t": {"NS": ["1"]},
    ":one": {"N": "1"},
    ":l": {"L": []},
}


@pytest.mark.parametrize("expression", SAME)
def test_updates_that_set_the_same(expression):
    """Values of the request are set, members of sets put in or taken out."""
    params = {"UpdateExpression": expression, "ExpressionAttributeValues": VALUES}

    assert sets_the_same(params)
    assert sets_the_same({**params, "ReturnValues": "ALL_NEW"})
    assert not sets_the_same({**params, "ReturnValues": "UPDATED_OLD"})


@pytest.mark.parametrize("expression", MORE)
def test_updates_that_may_add(expression):
    """Whatever counts, appends, copies or is not understood."""
    params = {"UpdateExpression": expression, "ExpressionAttributeValues": VALUES}

    assert not sets_the_same(params)


@pytest.mark.parametrize(
    ("updates", "expected"),
    [
        ({"a": {"Value": {"S": "x"}}}, True),
        (
            {"a": {"Action": "PUT", "Value": {"S": "x"}}, "b": {"Action": "DELETE"}},
            True,
        ),
        ({"a": {"Action": "ADD", "Value": {"SS": ["x"]}}}, True),
        ({"a": {"Action": "ADD", "Value": {"N": "1"}}}, False),
        ({"a": {"Action": "PUT"}, "n": {"Action": "ADD", "Value": 1}}, False),
        ({"a": None}, False),
        ({}, False),
    ],
)
def test_the_older_form(updates, expected):
    """Each attribute has an action of its own; without one it is put."""
    assert expected == sets_the_same({"AttributeUpdates": updates})


def test_sets_as_the_resource_gives_them():
    """The resource API has Python's sets in place of typed values."""
    params = {"UpdateExpression": "ADD colours :s"}

    assert sets_the_same({**params, "ExpressionAttributeValues": {":s": {"red"}}})
    assert not sets_the_same({**params, "ExpressionAttributeValues": {":s": 1}})
    assert not sets_the_same(params)


KEY = {"TableName": "t", "Key": {"k": {"S": "a"}}}
SETS = {
    "UpdateExpression": "SET a = :v",
    "ExpressionAttributeValues": {":v": {"S": "x"}},
}


@pytest.mark.parametrize("rules", [{}, {"dynamodb.*": {"idempotency": "keyed"}}])
def test_a_lost_answer_to_an_update_that_sets(rules, wire, connect, make_engine):
    """It is repeated, as bare, for the item is the same after it."""
    dynamodb = connect("dynamodb", make_engine(operations=rules))
    wire.plans = ["drop"]
    dynamodb.update_item(**KEY, **SETS)

    assert 2 == wire.count


@pytest.mark.parametrize("rules", [{}, {"dynamodb.*": {"idempotency": "keyed"}}])
@pytest.mark.parametrize(
    "more",
    [{"ConditionExpression": "attribute_exists(k)"}, {"ReturnValues": "ALL_OLD"}],
)
def test_an_update_that_sets_under_a_condition(more, rules, wire, connect, make_engine):
    """A repeat would be judged against its own first write: the honest error."""
    dynamodb = connect("dynamodb", make_engine(operations=rules))
    wire.plans = ["drop"]
    with pytest.raises(ConnectionClosedError) as caught:
        dynamodb.update_item(**KEY, **SETS, **more)

    report = resilience.report(caught.value)
    assert (1, True) == (wire.count, report.ambiguous)
    assert "TransactWriteItems" in report.hint


ITEM = {
    "k": {"S": "a"},
    "a": {"S": "old"},
    "b": {"M": {"c": {"S": "old"}}},
    "c": {"M": {"d": {"S": "old"}}},
    "colours": {"SS": ["red", "green"]},
    "n": {"N": "1"},
    "l": {"L": [{"S": "x"}]},
}


@pytest.fixture
def table(faulting, connect):
    """Return a bare client of a server with a table."""
    dynamodb = connect("dynamodb", endpoint_url=faulting.url)
    make_table(dynamodb)
    return dynamodb


def updated(dynamodb, expression, times):
    """Return the item after *times* updates."""
    used = {*re.findall(r":\w+", expression)}
    names = {name: name[1:] for name in re.findall(r"#\w+", expression)}
    dynamodb.put_item(TableName="t", Item=ITEM)
    for _ in range(times):
        dynamodb.update_item(
            **KEY,
            UpdateExpression=expression,
            **({"ExpressionAttributeNames": names} if names else {}),
            **(
                {"ExpressionAttributeValues": {name: VALUES[name] for name in used}}
                if used
                else {}
            ),
        )
    return dynamodb.get_item(**KEY)["Item"]


@pytest.mark.real
@pytest.mark.parametrize("expression", SAME)
def test_what_a_server_makes_of_them(expression, table):
    """The item is the same after one update and after two."""
    assert updated(table, expression, 1) == updated(table, expression, 2)


@pytest.mark.real
@pytest.mark.parametrize(
    "expression", ["ADD n :one", "SET n = n + :one", "SET l = list_append(l, :w)"]
)
def test_what_a_server_makes_of_others(expression, table, monkeypatch):
    """It is another one: these may not be repeated."""
    monkeypatch.setitem(VALUES, ":w", {"L": [{"S": "y"}]})

    assert updated(table, expression, 1) != updated(table, expression, 2)
