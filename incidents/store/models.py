"""The deciding half's tables: cases, their findings and timelines, timers, deliveries, steps.

Rules that must never break are constraints of the database, not code: one open case per fingerprint, one row per
finding, one delivery per idempotency key, a disposition and a reason on every closed case.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from incidents.store.types import Base, Id


class Status(StrEnum):
    """Where a case is in its life."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    CONTAINED = "contained"
    RESOLVED = "resolved"
    CLOSED = "closed"


class CaseDisposition(StrEnum):
    """What a case turned out to be; required to close it."""

    TRUE_POSITIVE = "true-positive"
    FALSE_POSITIVE = "false-positive"
    BENIGN_DRIFT = "benign-drift"
    DUPLICATE = "duplicate"
    DRILL = "drill"
    INSUFFICIENT_DATA = "insufficient-data"


class FindingDisposition(StrEnum):
    """What became of a finding. Every finding has one: `vedette why` reads it."""

    OPENED = "opened"
    MERGED = "merged"
    REOPENED = "reopened"
    RECOVERY = "recovery"
    UNMATCHED = "unmatched"
    SUPPRESSED = "suppressed"
    HELD = "held"
    STAGED = "staged"
    POISON = "poison"


class DeliveryState(StrEnum):
    """Where an outgoing notification is."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    AMBIGUOUS = "ambiguous"
    SUPERSEDED = "superseded"
    DEAD = "dead"


def _one_of(column: str, values: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


class PlaybookRow(Base):
    """A playbook as it was when a case opened with it; content-addressed, never changed."""

    __tablename__ = "playbook"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    content: Mapped[dict[str, Any]]
    first_used_at: Mapped[datetime]


class IncidentRow(Base):
    """A case."""

    __tablename__ = "incident"
    __table_args__ = (
        CheckConstraint(_one_of("status", Status), name="status_known"),
        CheckConstraint(
            "status <> 'closed' OR (disposition IS NOT NULL AND close_reason <> '' AND closed_at IS NOT NULL)",
            name="closed_is_explained",
        ),
        CheckConstraint(
            "disposition IS NULL OR " + _one_of("disposition", CaseDisposition), name="disposition_known"
        ),
        Index(
            "uq_incident_open_fingerprint",
            "fingerprint",
            unique=True,
            sqlite_where=text("status <> 'closed'"),
            postgresql_where=text("status <> 'closed'"),
        ),
        Index("ix_incident_status", "status"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(20), default=Status.TRIGGERED.value)
    severity: Mapped[str] = mapped_column(String(20))
    labels: Mapped[dict[str, Any]]
    """The group-by labels and what every finding of the case shares."""
    playbook_digest: Mapped[str] = mapped_column(ForeignKey("playbook.digest"))
    playbook_name: Mapped[str] = mapped_column(String(200))
    version: Mapped[int] = mapped_column(Integer, default=1)
    """Counts every change; `--if-version` compares it."""
    finding_count: Mapped[int] = mapped_column(Integer, default=0)
    timeline_length: Mapped[int] = mapped_column(Integer, default=0)
    assignee: Mapped[str] = mapped_column(String(200), default="")
    escalation_level: Mapped[int] = mapped_column(Integer, default=0)
    escalation_round: Mapped[int] = mapped_column(Integer, default=0)
    started_at: Mapped[datetime]
    """When the condition began, as estimated by the detector of the earliest finding."""
    opened_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    last_finding_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    contained_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    disposition: Mapped[str | None] = mapped_column(String(40))
    close_reason: Mapped[str] = mapped_column(Text, default="")
    reopen_count: Mapped[int] = mapped_column(Integer, default=0)


class FindingRow(Base):
    """One alert as it arrived, and what became of it. Inserted or skipped: the id is deterministic."""

    __tablename__ = "finding"
    __table_args__ = (
        CheckConstraint(_one_of("disposition", FindingDisposition), name="disposition_known"),
        Index("ix_finding_incident_id", "incident_id"),
        Index("ix_finding_detected_at", "detected_at"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incident.id"))
    labels: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(20))
    severity: Mapped[str] = mapped_column(String(20))
    summary: Mapped[str] = mapped_column(Text)
    score: Mapped[float | None]
    threshold: Mapped[float | None]
    evidence: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    detected_at: Mapped[datetime]
    received_at: Mapped[datetime]
    disposition: Mapped[str] = mapped_column(String(20))
    disposition_reason: Mapped[str] = mapped_column(Text)


class TimelineRow(Base):
    """One line of a case's story: what happened, who did it, and why."""

    __tablename__ = "timeline"
    __table_args__ = (UniqueConstraint("incident_id", "seq"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incident.id"))
    seq: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(200))
    """A person's name, or ``vedette``."""
    kind: Mapped[str] = mapped_column(String(40))
    """opened, finding, acknowledged, escalated, notified, note, step, resolved, closed, reopened …"""
    text: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]]


class TimerRow(Base):
    """Something that comes due. Claimed and advanced in the transaction that writes its effects."""

    __tablename__ = "timer"
    __table_args__ = (
        Index("ix_timer_due", "due_at", sqlite_where=text("done_at IS NULL"), postgresql_where=text("done_at IS NULL")),
        Index("ix_timer_incident_id", "incident_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incident.id"))
    kind: Mapped[str] = mapped_column(String(40))
    due_at: Mapped[datetime]
    payload: Mapped[dict[str, Any]]
    done_at: Mapped[datetime | None]
    """When it fired or was called off; None while it is pending."""
    outcome: Mapped[str] = mapped_column(String(200), default="")


class DeliveryRow(Base):
    """The outbox: one notification to one receiver, written in the transaction of its cause."""

    __tablename__ = "delivery"
    __table_args__ = (
        CheckConstraint(_one_of("state", DeliveryState), name="state_known"),
        UniqueConstraint("idempotency_key"),
        Index("ix_delivery_state_not_before", "state", "not_before"),
        Index("ix_delivery_incident_id", "incident_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incident.id"))
    receiver: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(20))
    """page (opens or re-pages), update (the root message changes), thread (a timeline line)."""
    idempotency_key: Mapped[str] = mapped_column(String(200))
    payload: Mapped[dict[str, Any]]
    """What to say, as data: the notifier renders it when it sends."""
    state: Mapped[str] = mapped_column(String(20), default=DeliveryState.PENDING.value)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    not_before: Mapped[datetime]
    claimed_by: Mapped[str] = mapped_column(String(200), default="")
    claimed_until: Mapped[datetime | None]
    receipt: Mapped[dict[str, Any]]
    """What the receiver answered: for Slack ``channel`` and ``ts``."""
    last_error: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


class StepRow(Base):
    """One step of a case's playbook."""

    __tablename__ = "step"
    __table_args__ = (
        UniqueConstraint("incident_id", "step_id"),
        CheckConstraint("state IN ('waiting', 'ready', 'running', 'done', 'skipped', 'failed')", name="state_known"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incident.id"))
    step_id: Mapped[str] = mapped_column(String(100))
    position: Mapped[int] = mapped_column(Integer)
    title: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(20), default="waiting")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    done_by: Mapped[str] = mapped_column(String(200), default="")
    done_at: Mapped[datetime | None]
    result: Mapped[str] = mapped_column(Text, default="")


class LeaseRow(Base):
    """Who does the singleton work (sweep, delivery) now; ``token`` fences a holder that slept."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    holder: Mapped[str] = mapped_column(String(200))
    token: Mapped[int] = mapped_column(Integer)
    expires_at: Mapped[datetime]
