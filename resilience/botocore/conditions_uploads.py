"""Multipart uploads: under which id this process began each, and which are there.

S3 lists uploads without their metadata, so an upload whose creation was not answered
cannot be told from another writer's; it can only be named.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from .extract import _clean as clean


MOST_KEPT = 10_000
"""Uploads that a process remembers; the oldest go first."""
MOST_NAMED = 3
"""Uploads that a report names; one that was begun just now is among the newest."""
LISTED_WITH = ("Bucket", "ExpectedBucketOwner", "RequestPayer")
"""Members of the request that ListMultipartUploads takes, too."""


class Uploads:
    """Ids of multipart uploads that this process began. Safe to share."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._ids: OrderedDict[str, str] = OrderedDict()

    def keep(self, upload: str, expected: str) -> None:
        """Remember the id of *upload*."""
        self._ids[upload] = expected
        while len(self._ids) > self._most:
            self._ids.popitem(last=False)

    def find(self, upload: object) -> str | None:
        """The id of *upload*; None: another process began it."""
        return self._ids.get(str(upload))


def named(key: object, listed: Mapping[str, Any]) -> str:
    """The uploads of *key* among those *listed*, in words, the newest first."""
    mine = [one for one in listed.get("Uploads") or () if one.get("Key") == key]
    if not mine:
        return "no upload of this key was there"
    mine.sort(key=lambda one: str(one.get("Initiated")), reverse=True)
    shown = [
        f"{clean(str(one.get('UploadId')), 200)} begun {one.get('Initiated')}"
        for one in mine[:MOST_NAMED]
    ]
    more = ", ..." if len(mine) > MOST_NAMED or listed.get("IsTruncated") else ""
    return f"uploads of this key, newest first: {', '.join(shown)}{more}"
