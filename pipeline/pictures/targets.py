"""Which servers pictures are fetched from: public ones, or proxies of the environment.

The addresses come from a catalogue, and may name a service of this machine or of its network:
http://127.0.0.1/, http://0x7f.1/, a name that resolves to 169.254.169.254. Names are resolved
once, refused if any of their addresses is not public, and connected to at exactly these
addresses, so a name cannot change its meaning in between.

Behind a proxy (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) names are resolved by the proxy, which is
then what must refuse private ones; numbers and `localhost` are refused here all the same.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from pipeline.transfer.status import Unavailable

PRIVATE = "refused, a private, local or reserved address (images.allow_private)"
CREDENTIALS = "refused, an address with a user name or password"
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # RFC 4291, 2.4
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: ends in an IPv4 address
LAST_32_BITS = 0xFFFFFFFF


class Targets:
    """The servers that may be asked.

    Args:
        allow_private: every server may; the setting `images.allow_private`.
    """

    def __init__(self, allow_private: bool) -> None:
        self.allow_private = allow_private
        self._proxies = getproxies()
        self._proxy_hosts = {URL(proxy).raw_host for proxy in self._proxies.values() if proxy}

    def proxy(self, url: URL) -> str | None:
        """Return the proxy through which to request an address; None if there is none.

        Raises:
            Unavailable: it must not be requested. A name is resolved later, by `resolver`.
        """
        if url.user is not None or url.password is not None:
            raise Unavailable(CREDENTIALS)
        host = (url.raw_host or "").rstrip(".")
        proxy = self._proxies.get(url.scheme)
        if proxy and proxy_bypass(host):
            proxy = None
        is_proxy_itself = proxy is None and host in self._proxy_hosts
        if not self.allow_private and (is_proxy_itself or not _may_be_public(host)):
            raise Unavailable(PRIVATE)
        return proxy

    def resolver(self) -> aiohttp.ThreadedResolver:
        """Return the resolver of the connections; for use within an event loop."""
        if self.allow_private:
            return aiohttp.ThreadedResolver()
        return _PublicResolver(self._proxy_hosts)


class _PublicResolver(aiohttp.ThreadedResolver):
    """Resolves names of public servers, and of proxies."""

    def __init__(self, proxy_hosts: set[str | None]) -> None:
        super().__init__()
        self._proxy_hosts = proxy_hosts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results = await super().resolve(host, port, family)
        if host not in self._proxy_hosts and not all(is_public(r["host"]) for r in results):
            raise Unavailable(PRIVATE)
        return results


def _may_be_public(host: str) -> bool:
    """Whether a host is a name other than localhost, or a number of a public address."""
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return False
    try:  # in every spelling that the system understands; asks no server
        numeric = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        return ":" not in host
    return all(is_public(str(info[4][0])) for info in numeric)


def is_public(text: str) -> bool:
    """Whether an IP address is that of one server on the internet.

    Args:
        text: IPv4 or IPv6, as the system writes it. Of an IPv6 address that stands for an IPv4
            one (mapped, 6to4, Teredo, NAT64), that one counts.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address.teredo:
            inner = address.teredo[1]
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & LAST_32_BITS)
        if inner is not None:
            return is_public(str(inner))
        if address not in GLOBAL_UNICAST:
            return False
    return address.is_global and not address.is_multicast
