"""Who may hold how many of the API's places."""

import pytest

from api.http.places import Places, client_of, is_loopback


def test_a_holder_has_its_share_and_leaves_the_rest_to_others() -> None:
    places = Places(4, share=0.5)

    assert [places.take("a", "x"), places.take("a", "y")] == [None, None]
    assert places.take("a", "z") == "share"
    assert places.take("b", "x") is None
    assert places.take("c", "x") == "share"
    assert places.take("b") is None
    assert places.take("c") == "full"

    places.free("a", "x")
    assert places.take("a", "x") is None


@pytest.mark.parametrize(("count", "share", "each"), [(1, 0.5, 1), (3, 0.5, 1), (3, 1, 3)])
def test_a_share_is_at_least_one_place(count: int, share: float, each: int) -> None:
    places = Places(count, share)
    taken = [places.take("a") for _ in range(count)]
    assert taken.count(None) == each


def test_no_place_is_none_for_anybody() -> None:
    assert Places(0, 1).take("a") == "full"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::1", "::2", False),
        ("", "unknown", False),
    ],
)
def test_which_addresses_are_one_client(one: str, other: str, same: bool) -> None:
    assert (client_of(one) == client_of(other)) is same


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.2", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_which_addresses_are_this_machine(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback
