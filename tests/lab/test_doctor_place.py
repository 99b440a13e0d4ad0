"""Targets as text: what they name, and what is no target."""

import pytest

from resilience.lab.doctor.place import Endpoint, parse


@pytest.mark.parametrize(
    ("target", "scheme", "endpoints"),
    [
        ("shop:50051", "dns", ["shop:50051"]),
        ("shop", "dns", ["shop:443"]),
        ("dns:shop:1", "dns", ["shop:1"]),
        ("dns:///shop:1", "dns", ["shop:1"]),
        ("dns://8.8.8.8/shop:1", "dns", ["shop:1"]),
        ("DNS:///shop", "dns", ["shop:443"]),
        ("10.0.0.1:80", "dns", ["10.0.0.1:80"]),
        ("[::1]:80", "dns", ["[::1]:80"]),
        ("::1", "dns", ["[::1]:443"]),
        ("[fe80::1%eth0]:80", "dns", ["[fe80::1%eth0]:80"]),
        ("ipv4:10.0.0.1:80,10.0.0.2", "ipv4", ["10.0.0.1:80", "10.0.0.2:443"]),
        ("ipv4:///10.0.0.1:80", "ipv4", ["10.0.0.1:80"]),
        ("ipv6:[::1]:80,[::2]:81", "ipv6", ["[::1]:80", "[::2]:81"]),
        ("unix:run/s", "unix", ["unix:run/s"]),
        ("unix:/run/s", "unix", ["unix:/run/s"]),
        ("unix:///run/s", "unix", ["unix:/run/s"]),
    ],
)
def test_what_a_target_names(target, scheme, endpoints):
    """Each form of gRPC's naming document is taken apart."""
    place = parse(target)

    assert (scheme, endpoints) == (place.scheme, [str(e) for e in place.endpoints])
    assert target == place.target


@pytest.mark.parametrize(
    "target",
    [
        "",
        " ",
        "shop :1",
        "shop\n:1",
        ":1",
        "shop:0",
        "shop:65536",
        "shop:-1",
        "shop:http",
        "https://shop:443",
        "grpc://shop",
        "xds:///shop",
        "unix:",
        "dns:///",
        "ipv4:shop:1",
        "ipv4:[::1]:1",
        "ipv6:10.0.0.1:1",
        "ipv4:10.0.0.1:1,",
        "shop/path:1",
        "a:b:c",
    ],
)
def test_what_is_no_target(target):
    """A text that names no place is wrong use, not a finding."""
    with pytest.raises(ValueError, match=r"\w"):
        parse(target)


@pytest.mark.parametrize(
    ("target", "expected"),
    [("shop:1", True), ("10.0.0.1:1", False), ("[::1]:1", False), ("unix:s", False)],
)
def test_who_needs_a_resolver(target, expected):
    """Only a name is looked up."""
    assert expected == parse(target).needs_lookup


@pytest.mark.parametrize(("port", "expected"), [(0, "unix:a:b"), (1, "[a:b]:1")])
def test_an_endpoint_as_text(port, expected):
    """IPv6 addresses are written with brackets, paths without a port."""
    assert expected == str(Endpoint("a:b", port))
