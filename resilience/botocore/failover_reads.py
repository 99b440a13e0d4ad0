"""Which operations only read, so that any region may answer them.

Stricter than `safe`: to write the same bytes again is harmless in one region, and makes
two copies in two. What a policy says about idempotency does not matter here.
"""

from typing import Any

from .idempotency import NOT_READ, READ_VERBS, _first_words, _http_method
from .idempotency_table import _READ, written


def only_reads(service: str, operation: str, model: Any = None) -> bool:
    """Does *operation* change nothing, by the table, its model or its name?

    Args:
        service: botocore's service name, `s3`.
        operation: the operation's name, `GetObject`.
        model: botocore's `OperationModel`; None: only the table and the name decide.
    """
    if (service, operation) in NOT_READ:
        return False
    found = written(service, operation)
    if found is not None:
        return found.idempotency == "safe" and found.reason == _READ
    # botocore's own class hides the flag, its raw model has it.
    if getattr(model, "_operation_model", {}).get("readonly"):
        return True
    is_get = _http_method(model) in {"GET", "HEAD"}
    return is_get or _first_words(operation) in READ_VERBS
