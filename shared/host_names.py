"""The host names of a service, and the origin of its own pages: protects from DNS rebinding.

A browser sends along the name that its page was loaded from. The owner of a name can make it
resolve to this machine a moment later (DNS rebinding), but cannot make a browser send another
name, nor turn an address into a name.
"""

import socket
from ipaddress import ip_address

# Values of the header that were accepted; a service has few names.
_MOST_KNOWN = 64
ANY = "*"
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


class Hosts:
    """Allows addresses, `localhost`, this machine's name, and the names in the setting.

    Args:
        named: comma-separated; `.example.com` allows every name below it, `*` allows all.
    """

    def __init__(self, named: str = "") -> None:
        names = {name.strip().lower() for name in named.split(",") if name.strip()}
        self._allows_all = ANY in names
        self._names = names | {"localhost", socket.gethostname().lower()}
        self._suffixes = (".localhost", *(name for name in names if name.startswith(".")))
        # accepted values of the Host header, including ports
        self.known: set[bytes] = set()

    def allows(self, header: bytes) -> bool:
        """True if a request may name this host, or names none, which no browser does."""
        if header in self.known:
            return True
        name = host_name(header.decode("latin-1"))
        allowed = self._allows_all or not header or (name is not None and self._is_ours(name))
        if allowed and len(self.known) < _MOST_KNOWN:
            self.known.add(header)
        return allowed

    def _is_ours(self, name: str) -> bool:
        return name in self._names or name.endswith(self._suffixes) or _is_address(name)


def host_name(authority: str) -> str | None:
    """The name or address without its port, in lower case; None: invalid."""
    name, colon, port = authority.rpartition(":")
    if not colon or "]" in port:
        name, port = authority, "0"
    if not port.isdecimal():
        return None
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
        return name if ":" in name else None
    return None if ":" in name else name.lower().removesuffix(".") or None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_own_origin(origin: bytes, host: bytes) -> bool:
    """True if a page of this very host and port sends the request; never for `null`."""
    scheme, separator, authority = origin.partition(b"://")
    port = _DEFAULT_PORTS.get(scheme)
    if not separator or port is None or not host:
        return False
    return authority.removesuffix(port) == host.removesuffix(port)


def is_loopback(host: str) -> bool:
    """True if only this machine can reach a port of this host."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # not an address: a name may resolve to anything
        return False
