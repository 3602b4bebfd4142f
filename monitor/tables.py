"""The observing half's tables. Incidents have theirs in :mod:`incidents.store.models`; one migration history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from incidents.store.types import Base, Id


class PartitionRow(Base):
    """Who owns a partition, and up to where it has been taken in."""

    __tablename__ = "source_partition"

    source: Mapped[str] = mapped_column(String(200), primary_key=True)
    partition: Mapped[str] = mapped_column(String(1000), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger)
    owner: Mapped[str] = mapped_column(String(200))
    offset: Mapped[int | None] = mapped_column(BigInteger)
    token: Mapped[str] = mapped_column(Text, default="")
    claimed_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class DetectorStateRow(Base):
    """One part of the state of one detector, true for its partition's offset."""

    __tablename__ = "detector_state"

    source: Mapped[str] = mapped_column(String(200), primary_key=True)
    partition: Mapped[str] = mapped_column(String(1000), primary_key=True)
    key: Mapped[str] = mapped_column(String(600), primary_key=True)
    state: Mapped[bytes] = mapped_column(LargeBinary)


class BaselineRow(Base):
    """A reference: how a model version looked when all was well. Frozen once made; retired, never changed."""

    __tablename__ = "baseline"
    __table_args__ = (
        CheckConstraint("status IN ('active', 'retired')", name="status_known"),
        Index(
            "uq_baseline_active",
            "model",
            "version",
            "scope",
            unique=True,
            sqlite_where=text("status = 'active'"),
            postgresql_where=text("status = 'active'"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    model: Mapped[str] = mapped_column(String(200))
    version: Mapped[str] = mapped_column(String(200))
    scope: Mapped[str] = mapped_column(String(1200), default="")
    """Empty: for every partition. Otherwise ``source/partition``: learned from that stream alone."""
    status: Mapped[str] = mapped_column(String(20), default="active")
    digest: Mapped[str] = mapped_column(String(64))
    records: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    origin: Mapped[str] = mapped_column(Text)
    """Where it was learned: ``stream``, a file's name, or the finding a responder accepted as the new normal."""
    author: Mapped[str] = mapped_column(String(200), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]


class DeadLetterRow(Base):
    """Bytes that were no record, kept with the reason until somebody replays or drops them."""

    __tablename__ = "dead_letter"
    __table_args__ = (
        UniqueConstraint("source", "partition", "offset", "item", name="uq_dead_letter_place"),
        Index("ix_dead_letter_reason", "reason"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    source: Mapped[str] = mapped_column(String(200))
    partition: Mapped[str] = mapped_column(String(1000))
    offset: Mapped[int] = mapped_column(BigInteger)
    item: Mapped[int] = mapped_column(BigInteger, default=0)
    """Which of the records decoded from these bytes; 0 for the whole."""
    format: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(40))
    detail: Mapped[str] = mapped_column(Text)
    value: Mapped[bytes] = mapped_column(LargeBinary)
    """The bytes as received, cut at the limit of :mod:`monitor.dead_letters`; ``size`` is the whole length."""
    size: Mapped[int] = mapped_column(BigInteger)
    headers: Mapped[dict[str, Any]]
    received_at: Mapped[datetime]
    replayed_at: Mapped[datetime | None]
    replay_result: Mapped[str | None] = mapped_column(Text)
