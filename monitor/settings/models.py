"""What can be said about a watched model: ``config/models/*.yaml``.

Everything has a sensible default: a model nobody configured is watched with exactly these values.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from incidents.duration import Duration
from monitor.settings.rate import Rate


class Frozen(BaseModel):
    """Base of every settings object: unknown keys are mistakes, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class FalseAlarms(Frozen):
    """How many false drift incidents the owner tolerates for the whole model, whatever its number of features."""

    at_most: float = Field(1, gt=0)
    per: Duration = timedelta(days=90)


class BaselineSettings(Frozen):
    """How the reference is learned."""

    records: int = Field(10_000, ge=500, le=1_000_000)
    """Predictions to learn from before the detectors are armed."""
    bins: int = Field(32, ge=4, le=128)
    tolerance: float = Field(0.02, ge=0, lt=0.5)
    """Change in total variation that the owner calls immaterial; sampling error is added to it."""


class DriftSettings(Frozen):
    """The reference-binned e-detector over features and prediction."""

    enabled: bool = True


class QualitySettings(Frozen):
    """Missing, wrong type, new category, out of range."""

    enabled: bool = True
    tolerance: float = Field(0.01, ge=0, lt=1)
    """Share of bad values above the baseline's own that is still immaterial."""


class ErrorSettings(Frozen):
    """Labelled error, by river's ADWIN."""

    enabled: bool = True
    delta: float = Field(0.002, gt=0, lt=1)
    """ADWIN's confidence parameter."""
    max_loss: float = Field(1.0, gt=0)
    """Losses are clipped to [0, max_loss]; for numeric targets state the largest error that matters."""


class RequestSettings(Frozen):
    """Request rate, error share and latency."""

    enabled: bool = True
    learn_windows: int = Field(60, ge=20)
    """Windows of event time before it is armed."""
    window: Duration = timedelta(seconds=60)


class AccessSettings(Frozen):
    """Who may call the model, and from how many failures on it is an attack."""

    enabled: bool = True
    allowed_principals: tuple[str, ...] | None = None
    """Shell-style patterns; None: no policy is declared, so nobody is reported."""
    failures_per_hour: float = Field(6.0, gt=0)
    """Authentication failures per hour of one account or address that are normal (mistyped passwords)."""
    attack_failures_per_hour: float = Field(600.0, gt=0)
    """The rate of failures the detector is tuned to find; anything above is found sooner."""


class Detectors(Frozen):
    """The suite, one entry per detector of the table."""

    drift: DriftSettings = DriftSettings()
    quality: QualitySettings = QualitySettings()
    error: ErrorSettings = ErrorSettings()
    requests: RequestSettings = RequestSettings()
    access: AccessSettings = AccessSettings()


class ModelSettings(Frozen):
    """One watched model."""

    model: str = Field(min_length=1, max_length=200)
    description: str = ""
    owner: str = ""
    expected_rate: Rate = 10.0
    """Predictions per second, to turn the false-alarm budget into events; replaced by the observed rate."""
    false_alarms: FalseAlarms = FalseAlarms()
    baseline: BaselineSettings = BaselineSettings()
    detectors: Detectors = Detectors()
    ignore_features: tuple[str, ...] = ()
    """Shell-style patterns of features that are not watched (identifiers, free text)."""
    block_records: int = Field(64, ge=8, le=4096)
    block_time: Duration = timedelta(seconds=60)
    labels: dict[str, str] = {}
    """Carried on every alert of the model, for playbooks to match (team, tier, jurisdiction …)."""

    @property
    def arl_events(self) -> float:
        """Predictions between tolerated false incidents: rate x seconds between them."""
        return max(self.expected_rate * self.false_alarms.per.total_seconds() / self.false_alarms.at_most, 1000.0)


