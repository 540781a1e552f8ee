"""Addresses that a hostile catalogue names, and what the client tells a server of the user."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

import pytest
from picture_cases import RED, SETTINGS, moved, serving

from pipeline.params import Images
from pipeline.pictures import targets
from pipeline.pictures.fetch import fetch
from pipeline.pictures.targets import CREDENTIALS, PRIVATE, is_public

REAL = socket.getaddrinfo
HERE = [  # this machine, in several spellings
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.9.9.9",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "2130706433",
    "localhost",
    "LocalHost.",
    "any.localhost",
    "0.0.0.0",  # noqa: S104 (asked, not bound)
    "0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
]
PRIVATE_ADDRESSES = [
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "0xa9fea9fe",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fc00::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[::ffff:169.254.169.254]",
]


def failures(addresses: list[str], **changes) -> dict[str, str]:
    settings = Images(**(SETTINGS | {"retries": 0} | changes))
    return fetch(addresses, Path("kept"), settings, len(addresses)).failures


@pytest.fixture
def server(folder):
    """Listens on every address of this machine."""
    with serving("0.0.0.0") as running:  # noqa: S104 (for the length of a test)
        yield running


@pytest.fixture
def public(monkeypatch):
    """Count 127.0.0.2 as an address on the internet, which no test reaches."""
    monkeypatch.setattr(targets, "is_public", lambda a: a == "127.0.0.2" or is_public(a))


def names(monkeypatch, **answers: list[list[str]]) -> None:
    """Let `<name>.example` resolve to each of its answers in turn."""

    def getaddrinfo(host, port, *args, **kwargs):
        name = str(host).removesuffix(".example")
        if name == host:
            return REAL(host, port, *args, **kwargs)
        if kwargs.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        answer = answers[name].pop(0) if len(answers[name]) > 1 else answers[name][0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in answer]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("host", HERE + PRIVATE_ADDRESSES)
def test_private_addresses_are_refused_in_every_spelling(server, host):
    address = f"http://{host}:{server.server_port}/red.png"

    assert failures([address], allow_private=False) == {address: PRIVATE}
    assert not server.asked


@pytest.mark.parametrize("host", ["8.8.8.8", "[2606:4700::1]", "134744072", "shop.example"])
def test_public_ones_are_not(host):
    target = targets.Targets(allow_private=False)

    assert target.proxy(targets.URL(f"http://{host}/a.jpg")) is None


@pytest.mark.parametrize("host", [*HERE, "169.254.169.254", "private.example"])
def test_no_redirect_leads_to_them(server, public, monkeypatch, host):
    names(monkeypatch, private=[["127.0.0.1"]])
    server.pages["/moved.png"] = moved(f"http://{host}:{server.server_port}/secret.png")
    address = f"http://127.0.0.2:{server.server_port}/moved.png"

    assert failures([address], allow_private=False) == {address: PRIVATE}
    assert dict(server.asked) == {"/moved.png": 1}


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["127.0.0.2", "10.0.0.1"], ["::1"]])
def test_a_name_of_a_private_address_is_refused(server, public, monkeypatch, answer):
    names(monkeypatch, shop=[answer])
    address = f"http://shop.example:{server.server_port}/red.png"

    assert failures([address], allow_private=False) == {address: PRIVATE}
    assert not server.asked


def test_a_name_that_changes_its_meaning_is_connected_to_where_it_was_checked(
    server, public, monkeypatch
):
    names(monkeypatch, shop=[["127.0.0.2"], ["127.0.0.1"]])
    connected = []

    def page(handler):
        connected.append(handler.connection.getsockname()[0])
        handler.close_connection = True
        return 200, {}, RED

    server.pages = {f"/{n}.png": page for n in range(3)}
    addresses = [f"http://shop.example:{server.server_port}/{n}.png" for n in range(3)]

    assert failures(addresses, allow_private=False) == {}
    assert connected == ["127.0.0.2"] * 3


def test_private_addresses_are_fetched_where_the_settings_allow_it(server):
    addresses = [
        f"http://{host}:{server.server_port}/{host}.png" for host in ("127.0.0.1", "localhost")
    ]

    assert failures(addresses) == {}
    assert sum(server.asked.values()) == 2


@pytest.mark.parametrize("variable", ["HOME", "NETRC"])
def test_no_server_is_told_a_password_of_the_user(server, monkeypatch, variable):
    netrc = Path(".netrc").resolve()
    netrc.write_text(
        "machine 127.0.0.1 login me password secret\ndefault login me password secret\n"
    )
    netrc.chmod(0o600)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv(variable, str(netrc.parent if variable == "HOME" else netrc))
    here, there = (f"http://{host}:{server.server_port}" for host in ("127.0.0.1", "localhost"))
    server.pages["/moved.png"] = moved(f"{there}/there.png")

    assert failures([f"{here}/red.png", f"{here}/moved.png"]) == {}
    assert len(server.log) == 3
    for _, _, headers in server.log:
        assert not {"Authorization", "Proxy-Authorization", "Cookie"} & headers.keys()


def test_an_address_with_a_password_is_refused(server):
    port = server.server_port
    plain = f"http://127.0.0.1:{port}/moved.png"
    server.pages["/moved.png"] = moved(f"http://me:secret@127.0.0.1:{port}/red.png")
    addresses = [f"http://me:secret@127.0.0.1:{port}/red.png", plain]

    assert failures(addresses) == dict.fromkeys(addresses, CREDENTIALS)
    assert dict(server.asked) == {"/moved.png": 1}


def test_the_proxy_of_the_environment_is_used_and_alone_gets_its_password(server, monkeypatch):
    """Its own address may be private; those of pictures may not, except as names."""
    proxy = f"http://me:secret@localhost:{server.server_port}"
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    behind = "http://only-the-proxy-knows.example/a.png"
    refused = ["http://127.0.0.1/a.png", "http://localhost/a.png"]

    assert failures([behind, *refused], allow_private=False) == dict.fromkeys(refused, PRIVATE)
    ((_, path, headers),) = server.log
    assert path == behind
    assert headers["Proxy-Authorization"] == (
        "Basic " + base64.b64encode(b"me:secret").decode()
    )
    assert "Authorization" not in headers


def test_the_proxy_itself_is_no_server_of_pictures(server, monkeypatch):
    monkeypatch.setenv("https_proxy", f"http://localhost.proxy.example:{server.server_port}")
    address = f"http://localhost.proxy.example:{server.server_port}/a.png"

    assert failures([address], allow_private=False) == {address: PRIVATE}
