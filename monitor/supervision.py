"""What ties the daemon to its machine: systemd's notifications and the lock on an embedded database."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

from incidents.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping


class SystemdNotifier:
    """``sd_notify(3)``: READY, STATUS, WATCHDOG, STOPPING; does nothing when systemd did not start us."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def tell(self, state: str) -> None:
        """Send one state, such as ``READY=1``."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            try:
                connection.sendto(state.encode(), self._address)
            except OSError:
                return  # systemd going away must not take the daemon with it


class DatabaseLock:
    """One daemon per SQLite file. The command line is not locked out: it only ever works on cases.

    PostgreSQL needs no such lock: there several daemons share the work, and the fence keeps them apart.
    """

    def __init__(self, url: str) -> None:
        database = make_url(url)
        in_memory = database.database in {None, "", ":memory:"}
        is_file = database.get_backend_name() == "sqlite" and not in_memory
        self._path = Path(f"{database.database}.daemon-lock") if is_file else None
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            Refused: another daemon has it; the error names its process.
        """
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise Refused(
                f"another vedette daemon (process {holder}) runs on {self._path.with_suffix('')}",
                remedy="Stop it, give this one a database of its own, or share PostgreSQL between several",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; the file stays, because removing it would race with the next daemon."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
