"""The written part of what AWS operations declare: one reason for each line.

The models of these services say nothing, so this file does. It holds no logic but the
look at parameters that change an answer (a condition, a deduplication id); how the
table is combined with the models is decided in `idempotency.py`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from resilience.core.target import Idempotency

from .idempotency_dynamodb import sets_the_same


class Entry(NamedTuple):
    """What one operation declares, and why."""

    idempotency: Idempotency
    reason: str


Params = Mapping[str, Any]
Special = Callable[[Params], Entry | None]
"""Looks at the parameters of one call; None: the table's plain entry holds."""


class Row(NamedTuple):
    """Operations that share an answer and its reason."""

    idempotency: Idempotency
    reason: str
    operations: str
    """Names, separated by blanks; a name that ends in `*` is a prefix."""


def _row(idempotency: Idempotency, reason: str, operations: str) -> Row:
    return Row(idempotency, reason, operations)


_READ = "reads only"
_SETS = "sets the same value again"
_GONE = "what is removed stays removed"
_NAMED = "the name is taken after the first: nothing is made twice"
_PAIR = "the pair is joined already: nothing is made twice"

TABLE: Mapping[str, tuple[Row, ...]] = {
    "s3": (
        _row("safe", _READ, "Get* Head* List* SelectObjectContent"),
        _row("safe", "the same bytes are written again", "PutObject UploadPart"),
        _row("safe", "the same source is copied again", "CopyObject UploadPartCopy"),
        _row("safe", _SETS, "PutBucket* PutObject* PutPublicAccessBlock Update*"),
        _row("safe", "a repeat adds a delete marker at most", "DeleteObject*"),
        _row("safe", _GONE, "DeleteBucket* DeletePublicAccessBlock"),
        _row("safe", _GONE, "AbortMultipartUpload"),
        _row("safe", "an upload id is completed once", "CompleteMultipartUpload"),
        _row("safe", _NAMED, "CreateBucket*"),
        _row("safe", "each answer is a new set of credentials", "CreateSession"),
        _row("safe", "a restore under way is not started again", "RestoreObject"),
        _row(
            "accept_duplicates",
            "an upload begun twice is an orphan that a lifecycle rule removes",
            "CreateMultipartUpload",
        ),
        _row("none", "one waiting request is answered once", "WriteGetObjectResponse"),
        _row("none", "moves what is there now", "RenameObject"),
    ),
    "dynamodb": (
        _row(
            "safe",
            _READ,
            "BatchGetItem Describe* Get* List* Query Scan Search* TransactGetItems",
        ),
        _row("safe", "the same item is written again", "PutItem BatchWriteItem"),
        _row("safe", _GONE, "DeleteItem DeleteBackup DeleteResource* DeleteTable"),
        _row("none", "an update may add to what is there", "UpdateItem"),
        _row("none", "a statement may add to what is there", "ExecuteStatement"),
        _row("none", "a statement may add to what is there", "BatchExecuteStatement"),
        _row("safe", _NAMED, "CreateTable CreateGlobalTable Restore*"),
        _row("none", "names of backups are not unique", "CreateBackup"),
        _row("safe", _SETS, "UpdateTable* UpdateGlobalTable* UpdateTimeToLive"),
        _row("safe", _SETS, "UpdateContinuousBackups UpdateContributorInsights"),
        _row("safe", _SETS, "UpdateKinesisStreamingDestination PutResourcePolicy"),
        _row("safe", _SETS, "EnableKinesis* DisableKinesis*"),
        _row("safe", _SETS, "TagResource UntagResource"),
        _row("safe", "what is cancelled stays cancelled", "CancelBulkOperation"),
        _row(
            "none",
            "makes something new each time",
            "StartBulk* Export* Import* TransactWriteItems ExecuteTransaction",
        ),
    ),
    "sqs": (
        _row("safe", _READ, "Get* List*"),
        _row(
            "accept_duplicates",
            "queues deliver at least once: a duplicate beats a lost message",
            "SendMessage SendMessageBatch",
        ),
        _row(
            "accept_duplicates",
            "messages of a lost answer come back after their visibility timeout",
            "ReceiveMessage",
        ),
        _row("safe", _GONE, "DeleteMessage DeleteMessageBatch DeleteQueue"),
        _row("safe", _SETS, "ChangeMessageVisibility* SetQueueAttributes"),
        _row("safe", _SETS, "TagQueue UntagQueue AddPermission RemovePermission"),
        _row("safe", _NAMED, "CreateQueue"),
        _row("safe", "a queue has one move task at a time", "StartMessageMoveTask"),
        _row("safe", "a cancelled task stays cancelled", "CancelMessageMoveTask"),
        _row("none", "would delete messages that came in between", "PurgeQueue"),
    ),
    "sns": (
        _row("safe", _READ, "Get* List* CheckIfPhoneNumberIsOptedOut"),
        _row(
            "accept_duplicates",
            "topics deliver at least once: a duplicate beats a lost message",
            "Publish PublishBatch",
        ),
        _row("accept_duplicates", "a confirmation is sent twice at most", "Subscribe"),
        _row("safe", _NAMED, "CreateTopic CreatePlatformApplication"),
        _row("safe", _NAMED, "CreatePlatformEndpoint"),
        _row("safe", _GONE, "Delete* Unsubscribe RemovePermission UntagResource"),
        _row("safe", _SETS, "Set* Put* AddPermission TagResource OptInPhoneNumber"),
        _row("safe", "a token confirms the same subscription", "ConfirmSubscription"),
        _row("none", "sends a text message each time", "CreateSMSSandboxPhoneNumber"),
        _row("none", "a code is good for one try", "VerifySMSSandboxPhoneNumber"),
    ),
    "kinesis": (
        _row("safe", "an iterator is a position", "GetRecords GetShardIterator"),
        _row("safe", _READ, "Describe* Get* List* SubscribeToShard"),
        _row(
            "accept_duplicates",
            "producers are at-least-once: consumers see a duplicate at most",
            "PutRecord PutRecords",
        ),
        _row(
            "accept_duplicates",
            "records of a lost answer are delivered again",
            "ReceiveQueueRecords ReceiveDeadLetterQueueRecords",
        ),
        _row("safe", _NAMED, "Create* RegisterStreamConsumer"),
        _row("safe", _GONE, "Delete* DeregisterStreamConsumer RemoveTagsFromStream"),
        _row("safe", "a closed shard is not split or merged again", "SplitShard"),
        _row("safe", "a closed shard is not split or merged again", "MergeShards"),
        _row("safe", _SETS, "Update* Enable* Disable* Start* Stop* PutResourcePolicy"),
        _row("safe", _SETS, "IncreaseStream* DecreaseStream* AddTags* TagResource"),
        _row("safe", _SETS, "UntagResource Acknowledge*"),
        _row("none", "would deliver a second time", "RestoreDeadLetterQueueRecords"),
    ),
    "lambda": (
        _row("safe", _READ, "Get* List*"),
        _row("none", "a function runs each time", "Invoke InvokeWithResponseStream"),
        _row(
            "accept_duplicates",
            "asynchronous invocation is at least once",
            "InvokeAsync",
        ),
        _row("safe", _NAMED, "Create* AddPermission AddLayerVersionPermission"),
        _row("safe", _GONE, "Delete* Remove* UntagResource"),
        _row("safe", _SETS, "Update* Put* TagResource"),
        _row("safe", "unchanged code makes no new version", "PublishVersion"),
        _row("none", "each call makes a new version", "PublishLayerVersion"),
        _row("safe", "a callback is answered once", "SendDurableExecutionCallback*"),
        _row("safe", "is in that state already", "Stop* Pause* Resume*"),
        _row("none", "adds to the history of an execution", "CheckpointDurable*"),
    ),
    "ec2": (
        _row("safe", _READ, "Describe* Get* List* Search* Validate* Export*"),
        _row("none", "buys", "AcceptReservedInstancesExchangeQuote Purchase*"),
        _row(
            "none",
            "each call may assign new addresses",
            "Assign* AssociateSubnetCidrBlock AssociateVpcCidrBlock "
            "ProvisionPublicIpv4PoolCidr Allocate*",
        ),
        _row("none", "happens each time", "Reboot* Send* Report* Bundle* Request*"),
        _row("none", "modifies into new reservations", "ModifyReservedInstances"),
        _row("safe", _SETS, "Modify* Update* Replace* Reset* Enable* Disable* Apply*"),
        _row(
            "safe", _SETS, "CreateTags Monitor* Unmonitor* Lock* Unlock* BatchModify*"
        ),
        _row(
            "safe", _GONE, "Delete* Deregister* Deprovision* Release* Revoke* Unassign*"
        ),
        _row("safe", _GONE, "Terminate* Cancel* Detach* Disassociate* Withdraw*"),
        _row("safe", _PAIR, "Associate* Attach* Authorize* Accept* Reject* Confirm*"),
        _row(
            "safe", "is in that state already", "Start* Stop* Restore* Move* Advertise*"
        ),
        _row("safe", _NAMED, "Register* Provision* CreateSecurityGroup CreateRoute"),
        _row(
            "safe", _NAMED, "CreatePlacementGroup CreateNetworkAclEntry CreateDefault*"
        ),
        _row("safe", _NAMED, "CreateVpnConnectionRoute CreateTransitGatewayRoute"),
        _row("safe", _NAMED, "CreateLocalGatewayRoute CreateSpotDatafeedSubscription"),
        _row("safe", _NAMED, "CreateTransitGatewayPrefixListReference"),
        _row("none", "makes something new each time", "Create* Import* Copy* Run*"),
    ),
    "stepfunctions": (
        _row(
            "accept_duplicates",
            "a task of a lost answer times out and is handed out again",
            "GetActivityTask",
        ),
    ),
    "swf": (
        _row(
            "accept_duplicates",
            "a task of a lost answer times out and is handed out again",
            "PollFor*",
        ),
    ),
    "sts": (
        _row("safe", "each answer is a new set of credentials", "Assume* Get*"),
        _row("safe", _READ, "DecodeAuthorizationMessage"),
    ),
}


def _s3_condition(params: Params) -> Entry | None:
    get = params.get
    if get("IfNoneMatch") or get("IfMatch") or get("WriteOffsetBytes"):
        reason = "its condition would be judged against its own first write"
        return Entry("none", reason)
    return None


def _dynamodb_item(params: Params) -> Entry | None:
    if params.get("ConditionExpression") or params.get("Expected"):
        reason = "its condition would be judged against its own first write"
        return Entry("none", reason)
    if params.get("ReturnValues", "NONE") != "NONE":
        return Entry("none", "the old values of a repeat are its own first write")
    return None


def _dynamodb_update(params: Params) -> Entry | None:
    if params.get("ConditionExpression") or params.get("Expected"):
        reason = "its condition would be judged against its own first write"
        return Entry("none", reason)
    return Entry("safe", _SETS) if sets_the_same(params) else None


def _is_select(statement: object) -> bool:
    return str(statement).lstrip().upper().startswith("SELECT")


def _partiql(params: Params) -> Entry | None:
    statements = params.get("Statements", (params,))
    if all(_is_select(s.get("Statement", "")) for s in statements):
        return Entry("safe", _READ)
    return None


def _fifo_message(params: Params) -> Entry | None:
    if params.get("MessageDeduplicationId"):
        return Entry("keyed", "deduplicated by MessageDeduplicationId")
    return None


def _fifo_batch(params: Params) -> Entry | None:
    entries = params.get("Entries") or params.get("PublishBatchRequestEntries") or ()
    if entries and all(_fifo_message(entry) for entry in entries):
        return Entry("keyed", "deduplicated by MessageDeduplicationId")
    return None


def _fifo_receive(params: Params) -> Entry | None:
    if params.get("ReceiveRequestAttemptId"):
        return Entry("keyed", "ReceiveRequestAttemptId brings the same messages again")
    return None


def _invocation(params: Params) -> Entry | None:
    kind = params.get("InvocationType")
    if kind == "DryRun":
        return Entry("safe", "a dry run executes nothing")
    if kind == "Event":
        return Entry("accept_duplicates", "asynchronous invocation is at least once")
    return None


SPECIAL: Mapping[tuple[str, str], Special] = {
    ("s3", "PutObject"): _s3_condition,
    ("s3", "CopyObject"): _s3_condition,
    ("s3", "CompleteMultipartUpload"): _s3_condition,
    ("s3", "DeleteObject"): _s3_condition,
    ("dynamodb", "PutItem"): _dynamodb_item,
    ("dynamodb", "DeleteItem"): _dynamodb_item,
    ("dynamodb", "UpdateItem"): _dynamodb_update,
    ("dynamodb", "ExecuteStatement"): _partiql,
    ("dynamodb", "BatchExecuteStatement"): _partiql,
    ("sqs", "ReceiveMessage"): _fifo_receive,
    ("sqs", "SendMessage"): _fifo_message,
    ("sqs", "SendMessageBatch"): _fifo_batch,
    ("sns", "Publish"): _fifo_message,
    ("sns", "PublishBatch"): _fifo_batch,
    ("lambda", "Invoke"): _invocation,
}


def written(service: str, operation: str) -> Entry | None:
    """The table's entry: an exact name first, then the longest prefix.

    Args:
        service: botocore's service name, `s3`.
        operation: the operation's name, `PutObject`.
    """
    best: Entry | None = None
    length = -1
    for row in TABLE.get(service, ()):
        for name in row.operations.split():
            if name == operation:
                return Entry(row.idempotency, row.reason)
            prefix = name[:-1] if name.endswith("*") else None
            if prefix and operation.startswith(prefix) and len(prefix) > length:
                best, length = Entry(row.idempotency, row.reason), len(prefix)
    return best
