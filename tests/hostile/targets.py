"""What hostile programs aim at, and what is seen of it from outside.

Canaries that anyone may read and write, servers that note every visitor, and the processes that
share a zygote's command line.
"""

import os
import select
import socket
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

SECRET, SECRET_VALUE = "EVOPROMPT_HOSTILE_TEST_KEY", "sk-not-for-candidates"


class Targets:
    """Canary files and servers; close them at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "canary"
        self.folder.mkdir()
        (self.folder / "secret.txt").write_text("sk-canary")
        (self.folder / "folder").mkdir()
        (self.folder / "link-to-secret").symlink_to(self.folder / "secret.txt")
        self._servers = [_bound(socket.AF_INET, kind) for kind in _KINDS]
        self._servers.append(_bound(socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "socket")))
        self.abstract = f"evoprompt-hostile-{os.getpid()}-{folder.name}"
        self._servers.append(_bound(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + self.abstract))
        self.names = {
            "CANARY": str(self.folder),
            "SECRET": SECRET,
            "EULAV_TERCES": SECRET_VALUE[::-1],  # a program that holds it would find itself
            "REPO": str(Path(__file__).parents[2]),
            "HOME": os.path.expanduser("~"),
            "TCP": str(self._servers[0].getsockname()[1]),
            "UDP": str(self._servers[1].getsockname()[1]),
            "UNIX": str(folder / "socket"),
            "ABSTRACT": self.abstract,
        }

    def state(self) -> dict[str, object]:
        """Every canary with its content, mode, owner and time of change."""
        found: dict[str, object] = {}
        for path in [self.folder, *sorted(self.folder.rglob("*"))]:
            facts = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(facts.st_mode) else b""
            name = str(path.relative_to(self.folder))
            found[name] = (facts.st_mode, facts.st_uid, facts.st_mtime_ns, content)
        for path in map(Path, _LITTER):
            found[str(path)] = path.exists()
        return found

    def visitors(self) -> int:
        """How many of the servers were visited since they were opened or last asked."""
        visited, _, _ = select.select(self._servers, [], [], 0)
        for server in visited:
            if server.type == socket.SOCK_DGRAM:
                server.recv(99)
            else:
                server.accept()[0].close()
        return len(visited)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for server in self._servers:
            server.close()


_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
_LITTER = (
    "/tmp/evoprompt-hostile.txt",
    "/var/tmp/evoprompt-hostile.txt",
    "/dev/shm/evoprompt-hostile",
)


def _bound(family: int, kind: int, address: str = "") -> socket.socket:
    server = socket.socket(family, kind)
    server.bind(address or ("127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        server.listen()
    return server


def twins(process: int) -> list[int]:
    """Processes with the command line of this one, which all forks of it keep, and itself."""
    wanted = Path(f"/proc/{process}/cmdline").read_bytes()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if (folder / "cmdline").read_bytes() == wanted:
                    found.append(int(folder.name))
            except OSError:
                continue
    return found
