"""Watches: the detectors of one stream of one model version, each behind a bulkhead, fed block by block."""

from __future__ import annotations

import struct
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from monitor import metrics
from monitor.blocks import BlockClock
from monitor.detectors.base import (
    AccessChunk,
    Arming,
    Chunk,
    Detector,
    LossChunk,
    PredictionChunk,
    StateError,
    Stream,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.settings.models import ModelSettings

log = structlog.get_logger(__name__)

_LAST = struct.Struct("<qd")
CLOCK = "clock"


class Decided(NamedTuple):
    """A verdict with the place that decided it."""

    detector: str
    verdict: Verdict
    offset: int
    time: float


class Quarantine(NamedTuple):
    """A detector raised an error and was taken out; the others go on."""

    detector: str
    error: str
    offset: int
    time: float


class StreamWatch:
    """All detectors of one stream.

    A detector that raises is quarantined: it is not fed again until the partition is loaded anew (restart or
    rebalance), and its stored state stays as it was at the last commit before the error.
    """

    def __init__(self, stream: Stream, settings: ModelSettings, detectors: Sequence[Detector[Any]]) -> None:
        self.stream = stream
        self.detectors = {detector.kind: detector for detector in detectors}
        self.quarantined: dict[str, str] = {}
        self._model = settings.model
        self._clock = BlockClock(settings.block_records, settings.block_time.total_seconds())
        self._last = (0, 0.0)
        """Offset and event time of the newest record: a block that closes before a chunk was decided there."""
        self._fed = False

    def observe(
        self, offsets: Sequence[int], times: Sequence[float], payload: Sequence[Any]
    ) -> tuple[list[Decided], list[Quarantine]]:
        """Take in consecutive records (or losses) of the stream."""
        if not offsets:
            return [], []
        self._fed = True
        chunk = self._chunk(offsets, times, payload)
        decided: list[Decided] = []
        failures: list[Quarantine] = []
        for kind, detector in self.detectors.items():
            if kind in self.quarantined:
                continue
            try:
                verdicts = detector.observe(chunk)
            except Exception as error:  # noqa: BLE001 -- the bulkhead: one detector's error never stops the others
                self._quarantine(kind, error)
                failures.append(Quarantine(kind, self.quarantined[kind], offsets[0], times[0]))
                continue
            decided.extend(Decided(kind, verdict, *self._place(chunk, verdict.index)) for verdict in verdicts)
        self._last = (offsets[-1], times[-1])
        return decided, failures

    def replace(self, detectors: Sequence[Detector[Any]]) -> None:
        """Put freshly built detectors in the place of those of the same kinds."""
        self.detectors.update((detector.kind, detector) for detector in detectors)

    def arming(self) -> dict[str, Arming]:
        """Whether each detector can alarm."""
        return {
            kind: Arming(armed=False, reason=f"quarantined: {self.quarantined[kind]}")
            if kind in self.quarantined
            else detector.arming()
            for kind, detector in self.detectors.items()
        }

    def changed(self) -> dict[str, bytes | None]:
        """Parts of the state that changed since the last call, by ``detector/part``."""
        if not self._fed:
            return {}
        self._fed = False
        parts: dict[str, bytes | None] = {CLOCK: self._clock.dump() + _LAST.pack(*self._last)}
        for kind, detector in self.detectors.items():
            if kind not in self.quarantined:
                parts.update((f"{kind}/{part}", state) for part, state in detector.changed().items())
        return parts

    def restore(self, parts: Mapping[str, bytes]) -> list[str]:
        """Take the state back; returns a sentence for each detector whose state could not be read."""
        if CLOCK in parts:
            self._clock.load(parts[CLOCK][: -_LAST.size])
            self._last = _LAST.unpack(parts[CLOCK][-_LAST.size :])
        problems = []
        for kind, detector in self.detectors.items():
            prefix = f"{kind}/"
            own = {key.removeprefix(prefix): state for key, state in parts.items() if key.startswith(prefix)}
            if not own:
                continue
            try:
                detector.restore(own)
            except StateError as error:
                problems.append(
                    f"the state of detector {kind} of {self._model} is not readable ({error}); it starts anew"
                )
        return problems

    def _chunk(self, offsets: Sequence[int], times: Sequence[float], payload: Sequence[Any]) -> Chunk:
        closes = self._clock.closes(times)
        if self.stream is Stream.PREDICTIONS:
            return PredictionChunk(offsets=offsets, times=times, closes=closes, records=payload)
        if self.stream is Stream.LOSSES:
            return LossChunk(offsets=offsets, times=times, closes=closes, losses=payload)
        return AccessChunk(offsets=offsets, times=times, closes=closes, records=payload)

    def _place(self, chunk: Chunk, index: int) -> tuple[int, float]:
        return self._last if index < 0 else (chunk.offsets[index], chunk.times[index])

    def _quarantine(self, kind: str, error: Exception) -> None:
        self.quarantined[kind] = _where(error)
        metrics.DETECTOR_QUARANTINED.labels(self._model, kind).set(1)
        log.error("detector quarantined", model=self._model, detector=kind, error=self.quarantined[kind])


def last_offset(clock: bytes) -> int:
    """The newest offset in a stored clock part."""
    return int(_LAST.unpack(clock[-_LAST.size :])[0])


def _where(error: Exception) -> str:
    """The error's type and place; not its text, which may quote a record."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
