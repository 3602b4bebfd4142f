"""What the observed systems say: three kinds of record, and the bytes that were none of them.

Times are event times in seconds since the Unix epoch, UTC. Durations are seconds, sizes are bytes.
A leaf: nothing of ours is imported here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

Value = float | str | bool | None
"""A feature's value. Integers arrive as floats; beyond 2**53 they lose their last digits, which no bin sees."""

Prediction = float | str | dict[str, float]
"""A number (regression), a class name, or class probabilities by class name."""


class PredictionRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One answer of a model.

    ``gc=False`` is safe: a record holds only scalars and dicts of scalars, so it can never be part of a cycle.
    """

    model: str
    time: float
    request_id: str
    features: dict[str, Value]
    prediction: Prediction | None = None
    version: str = ""
    principal: str | None = None
    latency: float | None = None
    artifact_digest: str | None = None
    segment: str | None = None


class OutcomeRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The ground truth for an earlier prediction, often late.

    ``prediction`` may repeat what the model answered; then no join is needed.
    """

    model: str
    time: float
    request_id: str
    outcome: float | str | bool
    prediction: Prediction | None = None
    version: str = ""


class AccessRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request to a model's serving endpoint, as its gateway saw it."""

    time: float
    principal: str | None = None
    source_address: str = ""
    action: str = ""
    resource: str = ""
    model: str | None = None
    status: int | None = None
    bytes_received: int | None = None
    bytes_sent: int | None = None
    latency: float | None = None
    user_agent: str | None = None
    tls: str | None = None
    peer_identity: str | None = None
    request_id: str | None = None


class FragmentSide(StrEnum):
    """Which half of a prediction a fragment is."""

    REQUEST = "request"
    RESPONSE = "response"


class Fragment(msgspec.Struct, frozen=True, kw_only=True):
    """Half of one or more predictions: some formats log the request and the response separately.

    ``rows`` holds one entry per row of the batch: the features of a request, or the predictions of a response.
    Halves with the same ``model`` and ``join_id`` make the predictions ``{join_id}`` or ``{join_id}/{row}``.
    """

    model: str
    join_id: str
    side: FragmentSide
    time: float
    rows: list[dict[str, Value]] | list[Prediction | None]
    version: str = ""
    principal: str | None = None


class InvalidReason(StrEnum):
    """Why bytes were no record. The list is closed: it labels a metric."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_TEXT = "not_text"
    MALFORMED = "malformed"
    WRONG_TYPE = "wrong_type"
    MISSING_FIELD = "missing_field"
    UNKNOWN_TYPE = "unknown_type"
    BAD_TIME = "bad_time"
    CLOCK_FAR_OFF = "clock_far_off"
    TOO_MANY_FEATURES = "too_many_features"
    TOO_MANY_MODELS = "too_many_models"
    UNSUPPORTED = "unsupported"


class InvalidRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that are no record, and why. ``detail`` names the place and what is allowed; never the payload."""

    reason: InvalidReason
    detail: str


Record = PredictionRecord | OutcomeRecord | AccessRecord
Decoded = Record | Fragment | InvalidRecord


class SeriesKey(NamedTuple):
    """What a finding is about: one thing of one model that is watched over time."""

    model: str
    version: str
    subject: str
    """A feature, ``prediction``, ``error``, an address, a principal …; empty for the model as a whole."""
    segment: str = ""
