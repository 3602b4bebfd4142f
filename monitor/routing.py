"""Routing: decoded items of a batch, in order, to the stream of the model version each belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from monitor.records import (
    AccessRecord,
    Decoded,
    Fragment,
    InvalidReason,
    InvalidRecord,
    OutcomeRecord,
    PredictionRecord,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class ModelVersion(NamedTuple):
    """What a watch is about; the version is empty where records do not name one."""

    model: str
    version: str


class Run(msgspec.Struct):
    """Records of one kind for one model version, in stream order, in columns of equal length."""

    offsets: list[int] = []
    origins: list[int] = []
    """Indices of the raw records in their batch."""
    times: list[float] = []
    records: list[Any] = []


class Routed(msgspec.Struct):
    """A batch, sorted."""

    predictions: dict[ModelVersion, Run] = {}
    accesses: dict[ModelVersion, Run] = {}
    joining: list[tuple[int, PredictionRecord | OutcomeRecord]] = []
    """Predictions and outcomes in stream order with their offsets: whichever comes second makes the pair."""
    invalid: list[tuple[int, InvalidRecord]] = []
    """With the index of the raw record in its batch."""
    outcomes: int = 0
    fragments: int = 0
    newest: float = 0.0


class Bounds(NamedTuple):
    """What a record must keep to, whatever it says."""

    latest: float
    """Latest acceptable event time, seconds since the epoch."""
    max_features: int


def check(record: PredictionRecord | OutcomeRecord | AccessRecord, bounds: Bounds) -> InvalidRecord | None:
    """Why a decoded record cannot be taken in, or None."""
    if record.time > bounds.latest:
        return InvalidRecord(
            reason=InvalidReason.CLOCK_FAR_OFF,
            detail=f"time is {record.time - bounds.latest:,.0f} s later than limits.clock_ahead allows; "
            "check the clock of the machine that wrote it",
        )
    if type(record) is PredictionRecord and len(record.features) > bounds.max_features:
        return InvalidRecord(
            reason=InvalidReason.TOO_MANY_FEATURES,
            detail=f"{len(record.features)} features; limits.max_features allows {bounds.max_features}",
        )
    return None


class Router:
    """Sorts decoded items; keeps nothing between batches."""

    def __init__(self, max_features: int) -> None:
        self._max_features = max_features

    def route(self, items: Sequence[Decoded], origins: Sequence[int], offsets: Sequence[int], latest: float) -> Routed:
        """Sort a batch. Fragments are left out but counted: they are joined before and come back as predictions."""
        routed = Routed(predictions={}, accesses={}, joining=[], invalid=[])
        bounds = Bounds(latest, self._max_features)
        newest = 0.0
        for item, origin in zip(items, origins, strict=True):
            if isinstance(item, InvalidRecord):
                routed.invalid.append((origin, item))
                continue
            if isinstance(item, Fragment):
                routed.fragments += 1
                continue
            if (problem := check(item, bounds)) is not None:
                routed.invalid.append((origin, problem))
                continue
            offset = offsets[origin]
            if type(item) is PredictionRecord:
                _add(routed.predictions, ModelVersion(item.model, item.version), offset, origin, item)
                routed.joining.append((offset, item))
            elif type(item) is OutcomeRecord:
                routed.outcomes += 1
                routed.joining.append((offset, item))
            elif type(item) is AccessRecord:
                _add(routed.accesses, ModelVersion(item.model or "", ""), offset, origin, item)
            newest = max(newest, item.time)
        routed.newest = newest
        return routed


def _add(
    runs: dict[ModelVersion, Run], key: ModelVersion, offset: int, record: PredictionRecord | AccessRecord
) -> None:
    run = runs.get(key)
    if run is None:
        run = runs[key] = Run(offsets=[], times=[], records=[])
    run.offsets.append(offset)
    run.times.append(record.time)
    run.records.append(record)
