"""What makes the rest of a body provable, and what is not taken for it."""

import pytest
from botocore.exceptions import ResponseStreamingError

from resilience.botocore.resume import is_rest, rest_of, source_of


def cut_short(status, headers, content):
    """A plan of `wire`: the answer announces more than comes."""

    def plan(handler):
        handler.close_connection = True
        return status, headers, content

    return plan


def test_a_part_by_its_number(wire, connect, make_engine):
    """A part's rest is asked for by its range in the object."""
    client = connect("s3", make_engine(), endpoint_url=wire.url)
    part = {"etag": '"e-2"', "content-length": "8", "content-range": "bytes 8-15/16"}
    rest = {"etag": '"e-2"', "content-range": "bytes 11-15/16"}
    wire.plans = [cut_short(206, part, b"abc"), (206, rest, b"defgh")]
    answer = client.get_object(Bucket="bkt", Key="k", PartNumber=2)

    assert b"abcdefgh" == answer["Body"].read()
    (_, path, headers, _) = wire.seen[1]
    assert "bytes=11-15" == dict(headers)["range"]
    assert "partNumber" not in path


@pytest.mark.parametrize(
    "second",
    [
        (206, {"etag": '"f"', "content-range": "bytes 3-7/8"}, b"defgh"),
        (206, {"etag": '"e"', "content-range": "bytes 2-7/8"}, b"xdefgh"),
        (206, {"etag": '"e"', "content-range": "bytes 3-7/9"}, b"defgh"),
        (200, {"etag": '"e"'}, b"abcdefgh"),
        (403, {}, b"<Error><Code>AccessDenied</Code></Error>"),
    ],
)
def test_what_proves_nothing_is_not_taken(second, wire, connect, make_engine):
    """The original error comes where the answer is not the rest, by its own words."""
    client = connect("s3", make_engine(), endpoint_url=wire.url)
    first = {"etag": '"e"', "content-length": "8"}
    wire.plans = [cut_short(200, first, b"abc"), second]
    body = client.get_object(Bucket="bkt", Key="k")["Body"]

    with pytest.raises(ResponseStreamingError):
        body.read()
    assert 2 == wire.count


def test_without_a_tag_the_original_error_comes(wire, connect, make_engine):
    """What cannot be proven is not tried."""
    client = connect("s3", make_engine(), endpoint_url=wire.url)
    wire.plans = [cut_short(200, {"content-length": "8"}, b"abc")]
    body = client.get_object(Bucket="bkt", Key="k")["Body"]

    with pytest.raises(ResponseStreamingError):
        body.read()
    assert 1 == wire.count


def answer(**more):
    metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {}, **more.pop("metadata", {})}
    return {
        "ETag": '"e"',
        "ContentLength": 10,
        "ResponseMetadata": metadata,
        **more,
    }


PART = {"metadata": {"HTTPStatusCode": 206}, "ContentRange": "bytes 5-14/20"}


@pytest.mark.parametrize(
    "found",
    [
        answer(ETag='W/"e"'),
        answer(ETag="e"),
        answer(ETag=None),
        answer(ContentLength=0),
        answer(metadata={"HTTPStatusCode": 206}),
        answer(**{**PART, "ContentRange": "bytes 5-15/20"}),
        answer(**{**PART, "ContentRange": "items 5-14/20"}),
        answer(ContentRange="bytes 0-9/10"),
        answer(metadata={"HTTPHeaders": {"transfer-encoding": "chunked"}}),
    ],
)
def test_what_is_not_provable(found):
    """Without a strong tag and a range that adds up, nothing is resumed."""
    assert source_of(found) is None


@pytest.mark.parametrize(
    "other",
    [
        {"ETag": '"f"'},
        {"ContentEncoding": "gzip"},
        {"VersionId": "v2"},
        {"ContentRange": "bytes 6-14/20"},
        {"ContentRange": "bytes 8-14/21"},
        {"ContentRange": None, "metadata": {"HTTPStatusCode": 200}},
    ],
)
def test_what_is_not_the_rest(other):
    """Whatever differs in tag, encoding, version or range is not spliced in."""
    source = source_of(answer(**PART))
    rest = {**PART, "ContentLength": 7, "ContentRange": "bytes 8-14/20"}

    assert is_rest(answer(**rest), source, 3)
    assert not is_rest(answer(**{**rest, **other}), source, 3)


def test_conditions_give_way_to_the_tag():
    """The rest is pinned by the entity tag, whatever conditions the body began with."""
    source = source_of(answer(**PART))
    asked = {"Bucket": "bkt", "IfNoneMatch": "x", "PartNumber": 2, "IfModifiedSince": 1}

    made = rest_of(asked, source, 3)

    assert {"Bucket": "bkt", "Range": "bytes=8-14", "IfMatch": '"e"'} == made
