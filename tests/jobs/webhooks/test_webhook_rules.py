"""Which webhook URLs are allowed: none that leads into the private network of the service."""

import socket
from ipaddress import ip_address

import pytest

from jobs.errors import WebhookRefused
from jobs.webhooks.rules import WebhookRules, is_public

STRICT = WebhookRules(on=True)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1",
        "198.18.0.1", "::", "::1", "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1",
        "ff0e::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:db8::1",
        "2001:0:7f00:1::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused_in_every_form(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_a_public_address_is_let_through(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://localhost/hook", "https://[::1]:8443/", "https://0/",
        "https://2130706433/", "https://0x7f.1/", "https://0177.0.0.1/", "https://127.1/",
        "https://169.254.169.254/latest/meta-data", "https://[::ffff:10.0.0.1]/",
        "http://8.8.8.8/", "ftp://8.8.8.8/", "file:///etc/passwd", "https://user:pw@8.8.8.8/",
        "https://user@8.8.8.8/", "https:///x", "https://8.8.8.8:99999/", "https://[::1/",
        "https://no-such-host.invalid/", "https://a..b/", "//8.8.8.8/", "8.8.8.8",
    ],
)  # fmt: skip
def test_a_misleading_url_is_refused(url: str) -> None:
    with pytest.raises(WebhookRefused):
        STRICT.check(url)


def test_what_is_public_is_called_at_the_address_that_was_checked() -> None:
    assert STRICT.check("https://8.8.8.8/hook") == ("8.8.8.8",)
    assert STRICT.check("https://[2606:4700:4700::1111]:8443/") == ("2606:4700:4700::1111",)


def test_a_name_with_one_address_inside_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    infos = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))
        for address in ("8.8.8.8", "10.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: infos)
    with pytest.raises(WebhookRefused, match="not public"):
        STRICT.check("https://example.com/")


def test_what_is_allowed_is_let_through() -> None:
    lenient = WebhookRules(on=True, allow_private=True, allow_http=True)
    assert lenient.check("http://127.0.0.1:9/") == ("127.0.0.1",)
    with pytest.raises(WebhookRefused):
        WebhookRules(on=True, allow_private=True).check("http://127.0.0.1:9/")
    with pytest.raises(WebhookRefused):
        WebhookRules(on=True, allow_http=True).check("http://127.0.0.1:9/")


def test_without_a_secret_there_are_no_webhooks() -> None:
    with pytest.raises(WebhookRefused, match="off"):
        WebhookRules(allow_private=True, allow_http=True).check("http://127.0.0.1/")
