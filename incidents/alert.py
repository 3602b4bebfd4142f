"""Alert: the door of the deciding half.

Whatever observes a model hands its findings over as alerts; nothing else crosses from ``monitor`` to
``incidents``. An alert is immutable and carries everything a case needs to be opened, grouped and explained.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
"""What an evidence value may be: plain JSON, so that it can be stored, exported and hashed."""


class Severity(StrEnum):
    """How bad it is; ordered from least to most urgent by :attr:`rank`."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for the least urgent, 4 for the most."""
        return list(Severity).index(self)


class AlertStatus(StrEnum):
    """Whether the condition holds, or has been seen to end."""

    FIRING = "firing"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One finding, handed over.

    Attributes:
        id: Deterministic identity of the finding; the same finding delivered twice has the same id.
        labels: What it is about. Always present: ``kind`` (drift, quality, error, requests, access, monitor),
            ``model``, ``detector``, ``subject`` (feature, principal, address … or empty) and ``source``.
            Also where known: ``version``, ``segment``, ``partition``.
        status: Whether the condition holds or has ended.
        severity: What the detector proposes; the playbook decides.
        summary: One sentence that a tired person understands.
        starts_at: When the condition began, as estimated by the detector (aware, UTC).
        detected_at: Event time at which the detector was sure (aware, UTC).
        score: The detector's statistic at detection; None where it has none.
        threshold: What the score was compared with.
        evidence: Plain JSON that supports the finding; never a raw payload.
    """

    id: str
    labels: Mapping[str, str]
    summary: str
    starts_at: datetime
    detected_at: datetime
    status: AlertStatus = AlertStatus.FIRING
    severity: Severity = Severity.MEDIUM
    score: float | None = None
    threshold: float | None = None
    evidence: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}))
