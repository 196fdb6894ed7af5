"""What a process and all its children reach for outside: files at home, and other machines."""

import re
import shutil
from pathlib import Path

STRACE = shutil.which("strace")
# Name services listen on this port, also on loopback, where a local resolver asks on.
_DNS_PORT = "53"
_LOOPBACK = re.compile(r"127\.|::1|::ffff:127\.|0\.0\.0\.0$|::$")
_ADDRESS = re.compile(
    r"sin6?_port=htons\((?P<port>\d+)\).*?"
    r'(?:inet_addr\("(?P<four>[^"]+)"\)|inet_pton\(AF_INET6, "(?P<six>[^"]+)")'
)
# Sockets of the machine's own name services: asking them is asking the network.
_RESOLVERS = re.compile(r'sun_path="[^"]*(?:nscd|resolve|avahi|sssd)[^"]*"')


class OutsideCalls:
    """An empty home folder, and a trace of every address that is connected or sent to."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self._trace = folder / "trace.txt"
        self.home.mkdir(parents=True)
        self._trace.touch()

    @property
    def environment(self) -> dict[str, str]:
        """HOME and what else libraries take for a home; all telemetry switches as delivered."""
        names = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
        places = {name: str(self.home / name.lower()) for name in names}
        return {"HOME": str(self.home), "USERPROFILE": str(self.home), **places}

    @property
    def wrapper(self) -> tuple[str, ...]:
        """Put before a command; the traced process keeps the number and the signals."""
        calls = "trace=connect,sendto,sendmsg,sendmmsg"
        options = ("-D", "-f", "-qq", "--seccomp-bpf", "-A", "-s", "256", "-e", calls)
        return ("strace", *options, "-o", str(self._trace))

    def files(self) -> set[str]:
        """What lies in the home folder, folders omitted."""
        found = (path for path in self.home.rglob("*") if not path.is_dir())
        return {str(path.relative_to(self.home)) for path in found}

    def addresses(self) -> set[str]:
        """Who was spoken to that is not this machine, and who was asked for a name."""
        return {line for line in self._lines() if _leaves(line)}

    def saw_anything(self) -> bool:
        """Whether the trace works at all: services speak to each other on loopback."""
        return any(_ADDRESS.search(line) for line in self._lines())

    def _lines(self) -> list[str]:
        return self._trace.read_text(errors="replace").splitlines()


def _leaves(line: str) -> bool:
    if _RESOLVERS.search(line):
        return "ENOENT" not in line
    found = _ADDRESS.search(line)
    if found is None:
        return False
    return found["port"] == _DNS_PORT or not _LOOPBACK.match(found["four"] or found["six"])
