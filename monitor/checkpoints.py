"""Checkpoints: the position of a partition and the detector state that is true for it, fenced by owner epoch.

The relational store, not the broker, is the source of truth for offsets. Whoever claims a partition raises its epoch;
every commit updates the position ``WHERE epoch = mine`` and must hit exactly one row. A former owner that slept through
its replacement therefore cannot write: not the position, and, being in the same transaction, nothing else either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from monitor.sources.base import Position
from monitor.tables import DetectorStateRow, PartitionRow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The right to write one partition, for as long as nobody else claims it."""

    source: str
    partition: str
    epoch: int
    owner: str


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of a partition; ``position`` is None when it was never committed."""

    claim: Claim
    position: Position | None
    parts: dict[str, bytes]


class Fenced(Exception):  # noqa: N818 -- not an error: the partition has another owner now
    """Another owner claimed the partition since; nothing of this transaction may be kept."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(
            f"partition {claim.partition} of source {claim.source} has another owner since epoch {claim.epoch}"
        )
        self.claim = claim


def claim(session: Session, source: str, partition: str, owner: str, now: datetime) -> Restored:
    """Take a partition over: raise its epoch and load what the store knows of it."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(PartitionRow).values(
        source=source,
        partition=partition,
        epoch=1,
        owner=owner,
        offset=None,
        token="",
        claimed_at=now,
        updated_at=now,
    )
    statement = statement.on_conflict_do_update(
        index_elements=[PartitionRow.source, PartitionRow.partition],
        set_={"epoch": PartitionRow.epoch + 1, "owner": owner, "claimed_at": now},
    )
    session.execute(statement)
    return _load(session, source, partition)


def reload(session: Session, held: Claim) -> Restored:
    """Load a partition again after its in-memory state became void, without changing its owner.

    Raises:
        Fenced: somebody else claimed it in the meantime.
    """
    restored = _load(session, held.source, held.partition)
    if restored.claim != held:
        raise Fenced(held)
    return restored


def _load(session: Session, source: str, partition: str) -> Restored:
    row = session.execute(
        select(PartitionRow.epoch, PartitionRow.offset, PartitionRow.token, PartitionRow.owner).where(
            PartitionRow.source == source, PartitionRow.partition == partition
        )
    ).one()
    parts = session.execute(
        select(DetectorStateRow.key, DetectorStateRow.state).where(
            DetectorStateRow.source == source, DetectorStateRow.partition == partition
        )
    )
    return Restored(
        claim=Claim(source=source, partition=partition, epoch=row.epoch, owner=row.owner),
        position=None if row.offset is None else Position(row.offset, row.token),
        parts=dict(parts.tuples().all()),
    )


def commit(session: Session, held: Claim, position: Position, parts: Mapping[str, bytes | None], now: datetime) -> None:
    """Write a partition's position and the parts of its state that changed (None deletes a part).

    Must be the first statement of its transaction: on SQLite and PostgreSQL alike the fenced update takes the row's
    lock, so that a new owner's claim waits for this commit or this commit sees the new epoch.

    Raises:
        Fenced: another owner claimed the partition; the transaction must be rolled back.
    """
    updated = session.execute(
        update(PartitionRow)
        .where(
            PartitionRow.source == held.source,
            PartitionRow.partition == held.partition,
            PartitionRow.epoch == held.epoch,
        )
        .values(offset=position.offset, token=position.token, updated_at=now)
        .execution_options(synchronize_session=False)
    )
    if updated.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE always gives a CursorResult
        raise Fenced(held)
    _write_parts(session, held, parts)


def _write_parts(session: Session, held: Claim, parts: Mapping[str, bytes | None]) -> None:
    kept = [
        {"source": held.source, "partition": held.partition, "key": key, "state": state}
        for key, state in parts.items()
        if state is not None
    ]
    gone = [key for key, state in parts.items() if state is None]
    if kept:
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        statement = insert(DetectorStateRow)
        statement = statement.on_conflict_do_update(
            index_elements=[DetectorStateRow.source, DetectorStateRow.partition, DetectorStateRow.key],
            set_={"state": statement.excluded.state},
        )
        session.connection().execute(statement, kept)
    for start in range(0, len(gone), 500):
        session.execute(
            delete(DetectorStateRow)
            .where(
                DetectorStateRow.source == held.source,
                DetectorStateRow.partition == held.partition,
                DetectorStateRow.key.in_(gone[start : start + 500]),
            )
            .execution_options(synchronize_session=False)
        )
