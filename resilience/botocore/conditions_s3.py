"""S3: the intent id travels as object metadata, and HeadObject shows whose it is.

Conditions that the caller gave stay as they are. A write without one is looked for
before it is repeated, and the repeat carries the condition that what was seen is still
there; so a first attempt that arrives late, or another writer, makes it fail instead
of being written over.
"""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from .conditions_uploads import LISTED_WITH, Uploads, named
from .intents import Identity
from .verify import Answer, Ask, Finding, Steps, headers_of, is_missing, xml


METADATA = "resilience-intent"
HEADER = f"x-amz-meta-{METADATA}"
LONGEST_METADATA = 2048
"""S3's limit for all user metadata of an object, in bytes of names and values."""
OPERATIONS = frozenset(
    {
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateMultipartUpload",
        "DeleteObject",
        "PutObject",
    }
)
_CONDITIONS = ("IfMatch", "IfNoneMatch")
_PASSED_ON = (
    "ExpectedBucketOwner",
    "RequestPayer",
    "SSECustomerAlgorithm",
    "SSECustomerKey",
    "SSECustomerKeyMD5",
)
"""Members that HeadObject needs as well."""
_KEPT = (
    "date",
    "etag",
    "server",
    "x-amz-bucket-key-enabled",
    "x-amz-checksum-",
    "x-amz-copy-source-version-id",
    "x-amz-delete-marker",
    "x-amz-expiration",
    "x-amz-id-2",
    "x-amz-request-",
    "x-amz-server-side-encryption",
    "x-amz-version-id",
    "x-amzn-requestid",
)
"""Headers of HeadObject that the success of a write has, too (prefixes)."""


class _Object:
    """One write of one object. Made for one call."""

    refusals = frozenset({"412", "NoSuchKey", "PreconditionFailed"})
    repeats = True

    def __init__(self, params: Mapping[str, Any], identity: Identity) -> None:
        self._identity = identity
        self._where = {k: params[k] for k in _PASSED_ON if params.get(k) is not None}
        self._where |= {name: params.get(name) for name in ("Bucket", "Key")}
        self._is_conditional = any(params.get(name) for name in _CONDITIONS)
        self._creates_only = bool(params.get("IfNoneMatch"))
        self._expected = str(identity)

    def prepare(self, params: dict[str, Any]) -> None:
        """Add nothing."""

    def looks_first(self) -> bool:
        """Not here."""
        return False

    def looks_before_repeat(self) -> bool:
        """Not here."""
        return False

    def judge(self, parsed: dict[str, Any]) -> Finding | None:
        """A refusal of S3 shows nothing of what is there."""
        return None

    def lost(self, code: str) -> bool:
        """No condition of ours."""
        return False

    def keep(self, parsed: Mapping[str, Any]) -> None:
        """Nothing is needed later."""

    def look(self) -> Steps:
        """Ask for the object as it is now."""
        try:
            head = yield Ask("HeadObject", {**self._where, "ChecksumMode": "ENABLED"})
        except ClientError as error:
            if not is_missing(error):
                raise
            return self._absent(headers_of(error.response))
        return self._present(headers_of(head), head)

    def _absent(self, headers: Mapping[str, str]) -> Finding:
        return Finding(headers={"If-None-Match": "*"})

    def _present(self, headers: Mapping[str, str], head: Mapping[str, Any]) -> Finding:
        written = headers.get(HEADER)
        if written == self._expected:
            return Finding(self._success(headers, head))
        return Finding(
            headers={"If-Match": headers.get("etag", "")},
            is_reused=self._identity.is_reused(written),
        )

    def _success(self, headers: Mapping[str, str], head: Mapping[str, Any]) -> Answer:
        return Answer(200, _kept(headers))


class _Watched(_Object):
    """A write that is looked for before a repeat, which then has a condition of ours.

    The caller's own condition is kept instead.
    """

    def __init__(self, params: Mapping[str, Any], identity: Identity) -> None:
        super().__init__(params, identity)
        self._derived: Mapping[str, str] = {}
        self._was_refused = self._cannot_derive = False

    def looks_before_repeat(self) -> bool:
        """Only `If-None-Match` refuses a repeat of the same content for certain."""
        return not self._creates_only

    def lost(self, code: str) -> bool:
        """Was it not the caller who set the condition?"""
        if not self._derived:
            return False
        if code in {"NotImplemented", "501"}:
            self._cannot_derive = True  # a server that does not know the condition
        elif code in self.refusals:
            self._was_refused = True
        else:
            return False
        return True

    def look(self) -> Steps:
        """As any, and with what is seen as the condition of a repeat."""
        found = yield from super().look()
        if self._is_conditional:
            return found._replace(headers=None)
        seen = found.headers or {}
        if self._was_refused and seen == self._derived:
            self._cannot_derive = True  # one that refuses what is true
        self._was_refused = False
        self._derived = {} if self._cannot_derive else seen
        return found._replace(headers=self._derived)


class _Put(_Watched):
    """PutObject."""

    def __init__(self, params: Mapping[str, Any], identity: Identity) -> None:
        super().__init__(params, identity)
        self._own = _own_intent(params)
        if self._own is not None:
            self._expected = self._own

    def prepare(self, params: dict[str, Any]) -> None:
        """Add the intent id, unless the caller has one under that name."""
        if self._own is None:
            metadata = params.get("Metadata") or {}
            params["Metadata"] = {**metadata, METADATA: self._expected}

    def looks_first(self) -> bool:
        """Without a condition S3 would write over what an earlier process wrote."""
        return self._identity.by_key and not self._is_conditional


class _Copy(_Put):
    """CopyObject with metadata of its own."""

    def _success(self, headers: Mapping[str, str], head: Mapping[str, Any]) -> Answer:
        modified = head["LastModified"].strftime("%Y-%m-%dT%H:%M:%S.000Z")
        members = {"LastModified": modified, "ETag": headers.get("etag", "")}
        members |= _checksums(headers)
        return Answer(200, _as_xml(headers), lambda _: xml("CopyObjectResult", members))


class _Create(_Put):
    """CreateMultipartUpload: its upload carries the id, and completes under it."""

    repeats = False
    refusals = frozenset[str]()

    def looks_first(self) -> bool:
        """An upload cannot be found."""
        return False

    def look(self) -> Steps:
        """Name the uploads that are there.

        Whose they are cannot be told, for S3 lists no metadata of them: to go on with
        one may be to write into another's.
        """
        passed_on = {k: v for k, v in self._where.items() if k in LISTED_WITH}
        key = self._where["Key"]
        found = yield Ask("ListMultipartUploads", {**passed_on, "Prefix": key})
        note = named(key, found)
        return Finding(is_known=False, note=f"whose an upload is shows no list; {note}")

    def keep(self, parsed: Mapping[str, Any]) -> None:
        """Remember under which id the upload will show."""
        _uploads.keep(str(parsed.get("UploadId")), self._expected)


class _Complete(_Object):
    """CompleteMultipartUpload."""

    refusals = frozenset({"412", "NoSuchUpload", "PreconditionFailed"})

    def __init__(
        self, params: Mapping[str, Any], identity: Identity, expected: str | None
    ) -> None:
        super().__init__(params, identity)
        self._expected = expected or ""

    def _present(self, headers: Mapping[str, str], head: Mapping[str, Any]) -> Finding:
        written = headers.get(HEADER)
        is_ours = written is not None and written == self._expected
        if not self._expected and self._identity.by_key:
            # Another process began it, under the same key.
            is_ours = (written or "").startswith(f"{self._identity.key}:")
        if is_ours:
            return Finding(self._success(headers, head))
        return Finding()

    def _absent(self, headers: Mapping[str, str]) -> Finding:
        return Finding()

    def _success(self, headers: Mapping[str, str], head: Mapping[str, Any]) -> Answer:
        members = {
            "Bucket": str(self._where["Bucket"]),
            "Key": str(self._where["Key"]),
            "ETag": headers.get("etag", ""),
            **_checksums(headers),
        }

        def body(url: str) -> str:
            location = {"Location": url.partition("?")[0]}
            return xml("CompleteMultipartUploadResult", location | members)

        return Answer(200, _as_xml(headers), body)


class _Delete(_Watched):
    """DeleteObject without a condition: what matters is that the object is gone.

    A second delete marker would stand above the first.
    """

    def looks_first(self) -> bool:
        """An earlier process may have deleted it under the same key."""
        return self._identity.by_key

    def _present(self, headers: Mapping[str, str], head: Mapping[str, Any]) -> Finding:
        return Finding(headers={"If-Match": headers.get("etag", "")})

    def _absent(self, headers: Mapping[str, str]) -> Finding:
        return Finding(Answer(204, _kept(headers)))


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith(_KEPT)}


def _as_xml(headers: Mapping[str, str]) -> dict[str, str]:
    return {**_kept(headers), "content-type": "application/xml"}


def _checksums(headers: Mapping[str, str]) -> dict[str, str]:
    start = "x-amz-checksum-"
    found = {
        f"Checksum{name.removeprefix(start).upper()}": value
        for name, value in headers.items()
        if name.startswith(start) and not name.endswith("-type")
    }
    kind = headers.get(f"{start}type")
    return found if kind is None else {**found, "ChecksumType": kind}


def _own_intent(params: Mapping[str, Any]) -> str | None:
    """The id that the caller put there."""
    for name, value in (params.get("Metadata") or {}).items():
        if str(name).lower() == METADATA:
            return str(value)
    return None


_uploads = Uploads()


def kind_of(
    operation: str, model: Any, params: Mapping[str, Any], identity: Identity
) -> Any:
    """How a call of *operation* is told apart; None: it cannot be."""
    if operation == "DeleteObject":
        is_plain = not any(params.get(name) for name in _NAMED_VERSION)
        return _Delete(params, identity) if is_plain else None
    if operation == "CompleteMultipartUpload":
        expected = _uploads.find(params.get("UploadId"))
        is_known = expected is not None or identity.by_key
        return _Complete(params, identity, expected) if is_known else None
    make = _carrier(operation, model, params)
    return None if make is None or not _has_room(params) else make(params, identity)


_NAMED_VERSION = (
    "VersionId",
    "IfMatch",
    "IfMatchSize",
    "IfMatchLastModifiedTime",
)


def _carrier(
    operation: str, model: Any, params: Mapping[str, Any]
) -> type[_Object] | None:
    """What an operation is whose request has metadata."""
    if operation == "CreateMultipartUpload":
        return _Create
    if operation == "PutObject" and not params.get("WriteOffsetBytes"):
        return _Put
    if operation == "CopyObject" and params.get("MetadataDirective") == "REPLACE":
        return _Copy if "IfNoneMatch" in model.input_shape.members else None
    return None


def _has_room(params: Mapping[str, Any]) -> bool:
    """Is there room for one more entry of metadata, and are the others well formed?"""
    metadata = params.get("Metadata") or {}
    if not isinstance(metadata, Mapping):
        return False
    used = sum(len(str(text)) for pair in metadata.items() for text in pair)
    return used + len(METADATA) + 49 <= LONGEST_METADATA
