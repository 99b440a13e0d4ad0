"""DynamoDB: the intent id is an attribute, and a refused condition shows the item.

PutItem is written unless the item is our own already. The refusal brings the item
along (`ReturnValuesOnConditionCheckFailure`), at no cost and without a right to read;
only where no answer came at all is the item read, consistently.
"""

import json
from collections.abc import Mapping
from typing import Any

from .intents import Identity
from .verify import Answer, Ask, Finding, Steps, headers_of


ATTRIBUTE = "resilience_intent"
NAME = "#resilience_intent"
VALUE = ":resilience_intent"
SHOW = "ReturnValuesOnConditionCheckFailure"
OPERATIONS = frozenset({"PutItem"})
_CONTENT = "application/x-amz-json-1.0"


class _Put:
    """PutItem. Made for one call."""

    refusals = frozenset({"ConditionalCheckFailedException"})
    repeats = True

    def __init__(self, params: Mapping[str, Any], identity: Identity) -> None:
        self._identity = identity
        self._table = params.get("TableName")
        self._shows = params.get(SHOW) is not None
        self._is_conditional = bool(params.get("ConditionExpression"))
        self._item: Mapping[str, Any] = {}
        self._expected = str(identity)

    def prepare(self, params: dict[str, Any]) -> None:
        """Add the attribute, and the condition that the item is not ours yet."""
        item = params.get("Item")
        if not isinstance(item, Mapping):
            return  # botocore says what is wrong with it
        own = item.get(ATTRIBUTE)
        if isinstance(own, Mapping) and isinstance(own.get("S"), str):
            self._expected = own["S"]
            known, value = f"{NAME} = {VALUE}", self._expected
        else:
            # With other parameters, too: the key is taken.
            known, value = f"begins_with({NAME}, {VALUE})", f"{self._identity.key}:"
        self._item = {**item, ATTRIBUTE: {"S": self._expected}}
        params["Item"] = self._item
        given = params.get("ConditionExpression")
        condition = f"(attribute_not_exists({NAME}) OR NOT {known})"
        if given:
            condition = f"({given}) AND {condition}"
        params["ConditionExpression"] = condition
        names = params.get("ExpressionAttributeNames") or {}
        params["ExpressionAttributeNames"] = {**names, NAME: ATTRIBUTE}
        values = params.get("ExpressionAttributeValues") or {}
        params["ExpressionAttributeValues"] = {**values, VALUE: {"S": value}}
        params.setdefault(SHOW, "ALL_OLD")

    def looks_first(self) -> bool:
        """The condition does."""
        return False

    def looks_before_repeat(self) -> bool:
        """The condition does."""
        return False

    def judge(self, parsed: dict[str, Any]) -> Finding | None:
        """Is the item that the refusal brought ours?"""
        item = parsed.get("Item")
        if not isinstance(item, Mapping):
            return None
        if not self._shows:
            del parsed["Item"]  # the caller did not ask for it
        headers = {"x-amzn-requestid": headers_of(parsed).get("x-amzn-requestid", "")}
        return self._found(item, headers)

    def lost(self, code: str) -> bool:
        """Ours is refused only when the item is our own."""
        return False

    def keep(self, parsed: Mapping[str, Any]) -> None:
        """Nothing is needed later."""

    def look(self) -> Steps:
        """Read the item; which attributes are its key, the table says."""
        table = yield Ask("DescribeTable", {"TableName": self._table})
        names = [one["AttributeName"] for one in table["Table"]["KeySchema"]]
        found = yield Ask(
            "GetItem",
            {
                "TableName": self._table,
                "Key": {name: self._item[name] for name in names},
                "ConsistentRead": True,
                "ProjectionExpression": NAME,
                "ExpressionAttributeNames": {NAME: ATTRIBUTE},
            },
        )
        headers = {"x-amzn-requestid": headers_of(found).get("x-amzn-requestid", "")}
        return self._found(found.get("Item") or {}, headers)

    def _found(self, item: Mapping[str, Any], headers: Mapping[str, str]) -> Finding:
        written = (item.get(ATTRIBUTE) or {}).get("S")
        if written != self._expected:
            return Finding(is_reused=self._identity.is_reused(written))
        return Finding(
            Answer(200, {**headers, "content-type": _CONTENT}, lambda _: json.dumps({}))
        )


def kind_of(operation: str, params: Mapping[str, Any], identity: Identity) -> Any:
    """How a call of *operation* is told apart; None: it cannot be.

    Old values that a caller asks for are gone after the first write, and the legacy
    `Expected` cannot be joined with an expression.
    """
    if operation != "PutItem" or params.get("ReturnValues", "NONE") != "NONE":
        return None
    if params.get("Expected") or params.get("ConditionalOperator"):
        return None
    return _Put(params, identity)
