"""What the doctor makes of two sides' descriptors, and where ours come from."""

import pytest

from tests.lab.judged import levels


pytest.importorskip("h2")
pytest.importorskip("grpc_health")
descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")

from resilience.lab.doctor.descriptors import expected, load
from resilience.lab.doctor.messages import Messages, differences


def file(name, *messages, package="p", services=(), imports=()):
    made = descriptor_pb2.FileDescriptorProto(name=name, package=package)
    made.dependency.extend(imports)
    for message, fields in messages:
        made_message = made.message_type.add(name=message)
        for number, kind, label in fields:
            made_message.field.add(
                name=f"f{number}", number=number, type=kind, label=label
            )
    for service in services:
        made.service.add(name=service)
    return made


STRING, BYTES, INT32, INT64, DOUBLE = 9, 12, 5, 3, 1
ONE, MANY = 1, 3


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        ([(1, STRING, ONE)], [(1, STRING, ONE)], []),
        ([(1, STRING, ONE)], [(1, INT32, ONE)], [("field-differs", "problem")]),
        ([(1, STRING, ONE)], [(1, BYTES, ONE)], [("field-differs", "advice")]),
        ([(1, INT32, ONE)], [(1, INT64, ONE)], [("field-differs", "advice")]),
        ([(1, INT32, ONE)], [(1, INT32, MANY)], [("field-differs", "problem")]),
        ([(1, DOUBLE, ONE)], [(2, DOUBLE, ONE)], [("fields-unknown", "fact")]),
    ],
)
def test_messages_of_two_sides(here, there, expected):
    """A field may come, go and widen; anything else is read wrongly."""
    ours, theirs = (
        Messages([file("a", ("M", here))]),
        Messages([file("a", ("M", there))]),
    )

    assert expected == levels(differences([".p.M"], ours, theirs))


def test_messages_inside_of_messages():
    """What a message holds is compared, too, once, however it refers to itself."""

    def tree(kind):
        made = file("a", ("Tree", [(1, STRING, ONE)]))
        leaf = made.message_type[0].nested_type.add(name="Leaf")
        leaf.field.add(name="size", number=1, type=kind, label=ONE)
        for number, name in ((2, ".p.Tree.Leaf"), (3, ".p.Tree"), (4, ".q.Unknown")):
            made.message_type[0].field.add(
                name=f"f{number}", number=number, type=11, label=ONE, type_name=name
            )
        return Messages([made])

    (found,) = differences([".p.Tree"], tree(INT32), tree(STRING))

    assert "field 1 of p.Tree.Leaf has another type at the server" == found.what
    assert "here int32 size, there string size" == found.evidence


def test_services_of_imported_files_are_not_demanded():
    """An import may describe services that this server never had."""
    given = descriptor_pb2.FileDescriptorSet(
        file=[
            file("dep", services=["Operations"]),
            file("shop", services=["Cart"], imports=["dep"]),
        ]
    )

    assert {"p.Cart", "p.Operations"} == expected(given)[0].keys()
    assert {"p.Cart"} == expected(given)[1]


def test_a_generated_module_serves_as_descriptors():
    """What protoc made can be named instead of a file."""
    found = load("grpc_health.v1.health_pb2")

    assert ["grpc.health.v1.Health"] == list(expected(found)[0])


@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff", b"hello"])
def test_a_file_without_descriptors(tmp_path, content):
    """A file that holds no service is wrong use."""
    path = tmp_path / "x.pb"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pb"):
        load(path)


@pytest.mark.parametrize("name", ["no.such.module", "json", "no/such/file.pb", "."])
def test_neither_file_nor_module(name):
    """What is neither is refused in words."""
    with pytest.raises(ValueError, match="neither"):
        load(name)
