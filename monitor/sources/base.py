"""What every source gives the pipeline: batches of raw records with positions that can be returned to.

Restart safety is not a Kafka feature: a file, a spool and a topic all have partitions and positions, and the
same checkpoints serve them all. The relational store, not the source, remembers where we are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Headers = tuple[tuple[str, bytes], ...]


class Position(NamedTuple):
    """Where reading continues in a partition.

    ``offset`` counts up for ever within a partition (record numbers in Kafka, bytes over all generations of a
    rotated file). ``token`` is the source's own note to find the place again (for files: device, inode,
    fingerprint of the first bytes and where this generation began); empty where the offset is enough.
    """

    offset: int
    token: str = ""


START = Position(0)


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive raw records of one partition, in columns of equal length.

    ``next`` is the position after the last record. A batch may be empty of records and still move ``next``
    (compacted offsets, blank lines); it is checkpointed all the same.
    """

    partition: str
    offsets: Sequence[int]
    values: Sequence[bytes]
    appended: Sequence[float] | None = None
    """When each record was appended, seconds since the epoch; None where the source does not know."""
    headers: Sequence[Headers] | None = None
    """Per record; None when no record has any."""
    next: Position

    def __len__(self) -> int:
        return len(self.values)


class AssignmentListener(Protocol):
    """What the pipeline wants to hear about partitions.

    May be called from a library's own thread, but only while the caller of :meth:`Source.poll` waits in it.
    """

    def assigned(self, partitions: Collection[str]) -> Mapping[str, Position | None]:
        """Partitions are ours now; the answer says where to continue each (None: the source's own start)."""
        ...

    def revoked(self, partitions: Collection[str]) -> None:
        """Partitions are leaving in good order; what is not committed will be read again by the next owner."""
        ...

    def lost(self, partitions: Collection[str]) -> None:
        """Partitions left some time ago; their in-memory state is void."""
        ...


class Source(ABC):
    """A stream of raw records.

    Obligations: records of a partition arrive in order and without gaps from the position given at assignment;
    ``poll`` returns within ``timeout`` seconds (a little over for network) and never raises for a dependency that is away: it
    reports that through :meth:`trouble` and goes on trying. Errors that waiting cannot cure (wrong password) raise
    :class:`incidents.errors.VedetteError` with the real cause and the remedy.
    One thread calls ``start``, ``poll``, ``seek``, ``pause``, ``resume`` and ``close``.
    """

    name: str
    format: str
    """A decoder's name, or ``auto``."""

    @abstractmethod
    def start(self, listener: AssignmentListener) -> None:
        """Begin; partitions are announced to the listener now or during later polls."""

    @abstractmethod
    def poll(self, timeout: float, max_records: int) -> list[Batch]:
        """Wait up to ``timeout`` seconds for records; at most one batch per partition."""

    @abstractmethod
    def seek(self, partition: str, position: Position | None) -> None:
        """Continue at a position; None is the source's own start."""

    @abstractmethod
    def pause(self) -> None:
        """Stop handing out records while staying alive (a Kafka group keeps its members)."""

    @abstractmethod
    def resume(self) -> None:
        """Hand out records again."""

    def committed(self, partition: str, position: Position) -> None:  # noqa: B027 -- optional
        """The store now holds this position. For lag tools and space reclaiming only; never read back."""

    @abstractmethod
    def close(self) -> None:
        """Release everything; a Kafka member leaves its group."""

    @property
    def exhausted(self) -> bool:
        """True when nothing will ever come again (end of standard input, a file read once)."""
        return False

    @property
    def trouble(self) -> str | None:
        """What is wrong right now, in one sentence with the remedy; None when all is well."""
        return None

    def lag(self) -> Mapping[str, int]:
        """Records (or bytes, for files) between the last poll and the end, per partition, where known."""
        return {}
