"""What a playbook says: ``config/playbooks/*.yaml`` as frozen objects.

The schema is closed: unknown keys are mistakes. Conditions are label patterns, never evaluated code.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from incidents.alert import Severity
from incidents.duration import Duration


class Frozen(BaseModel):
    """Base of every declared object: unknown keys are mistakes, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
"""One shell-style pattern or several, of which one must match."""


class EscalationLevel(Frozen):
    """Who is told next, and how long they have to acknowledge."""

    receivers: tuple[str, ...] = Field(min_length=1)
    timeout: Duration = timedelta(minutes=15)


class Escalation(Frozen):
    """Levels in order; level 1 is told when the case opens."""

    levels: tuple[EscalationLevel, ...] = Field(min_length=1)
    repeat: int = Field(1, ge=0, le=10)
    """How many more rounds after the first, while nobody acknowledges."""
    exhausted: tuple[str, ...] = ()
    """Who is told when every round is over."""


class Step(Frozen):
    """Something to be done: by a person (manual) or by an action of the table (automatic)."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    title: str = Field(min_length=1)
    kind: Literal["manual", "automatic"] = "manual"
    description: str = ""
    on: Literal["opened", "acknowledged", "contained", "resolved"] = "opened"
    """An automatic step runs when the case reaches this point; a manual one becomes due then."""
    action: str | None = None
    """Automatic: a name in the table of actions."""
    arguments: dict[str, str | int | float | bool] = {}
    csf: tuple[str, ...] = ()
    """NIST CSF 2.0 subcategories, such as RS.MA-01."""


class Closing(Frozen):
    """What must be there before the case can be closed; a disposition and a reason always must."""

    steps_done: tuple[str, ...] = ()
    acknowledged: bool = False


class Playbook(Frozen):
    """What to do about one kind of finding."""

    playbook: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    title: str = Field(min_length=1)
    description: str = ""
    match: dict[str, Patterns] = Field(min_length=1)
    """Label name to patterns; all labels named must match. ``kind: drift``, ``model: ["fraud-*"]``."""
    minimum_severity: Severity = Severity.INFO
    priority: int = 0
    """The highest matching playbook wins; among equals the most specific (most labels), then the name."""
    group_by: tuple[str, ...] = ("model", "kind")
    """Findings with equal values of these labels belong to one case."""
    severity: Severity | Literal["finding"] = "finding"
    reopen_within: Duration = timedelta(hours=24)
    """A finding this soon after the case was *resolved* reopens it. A closed case is never reopened by a finding."""
    receivers: tuple[str, ...] = ()
    """Told about the opening and every change, besides the escalation levels."""
    escalation: Escalation | None = None
    steps: tuple[Step, ...] = ()
    closing: Closing = Closing()
    runbook: str = ""
    atlas: tuple[str, ...] = ()
    """MITRE ATLAS techniques; drift by nature has none."""

    def canonical(self) -> bytes:
        """The same bytes for the same content: sorted keys, no whitespace."""
        return msgspec.json.encode(self.model_dump(mode="json"), order="sorted")

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form; cases carry it."""
        return hashlib.sha256(self.canonical()).hexdigest()
