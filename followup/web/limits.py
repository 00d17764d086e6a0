"""How often one address may ask, and which address that is."""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request

LONGEST_ADDRESS = 64


class Buckets:
    """
    A token bucket for each address; those that were quiet longest are forgotten first.

    For one thread: the event loop's.
    """

    def __init__(
        self, *, per_minute: float, burst: int, monotonic: Callable[[], float], most_addresses: int = 10_000
    ) -> None:
        self.per_second, self.burst = per_minute / 60, burst
        self.monotonic, self.most_addresses = monotonic, most_addresses
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, when that was

    def take(self, address: str) -> int:
        """Take a token for *address*; return 0, or after how many seconds there will be one."""
        now = self.monotonic()
        left, at = self._known.pop(address, (float(self.burst), now))
        left = min(self.burst, left + (now - at) * self.per_second)
        allowed = left >= 1
        self._known[address] = (left - 1 if allowed else left, now)
        while len(self._known) > self.most_addresses:
            self._known.popitem(last=False)
        return 0 if allowed else math.ceil((1 - left) / self.per_second)


class Limits:
    """The limits of the pages: on all requests, and on those whose link does not work, which are few or a search."""

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self.requests = Buckets(per_minute=60, burst=120, monotonic=monotonic)
        self.misses = Buckets(per_minute=10, burst=10, monotonic=monotonic)


def client_address(request: Request, *, proxies: int) -> str:
    """
    Return whom a request is counted for; of IPv6 the network, of which every line has a whole one.

    Args:
        proxies: how many proxies in front of us add to X-Forwarded-For. What stands left of their entries
            came with the request, and anybody can write that.
    """
    socket = request.client.host if request.client else "unknown"
    forwarded = [part.strip() for header in request.headers.getlist("x-forwarded-for") for part in header.split(",")]
    if not proxies or not any(forwarded):
        return _network(socket)
    return _network(forwarded[-proxies] if len(forwarded) >= proxies else forwarded[0])


def _network(address: str) -> str:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address[:LONGEST_ADDRESS]
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    return str(known.ipv4_mapped or ipaddress.ip_network((known, 64), strict=False))
