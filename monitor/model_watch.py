"""Everything that watches one version of one model in one partition: its learner, its baseline, its stream watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from monitor.baselines import Baseline, BaselineLearner
from monitor.detectors import build
from monitor.detectors.base import Arming, StateError, Stream
from monitor.watch import CLOCK, Decided, Quarantine, StreamWatch, last_offset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.records import AccessRecord, PredictionRecord
    from monitor.settings.models import ModelSettings

_LEARNER = "learner/"
_BASELINE = "baseline"

Answers = tuple[list[Decided], list[Quarantine]]


class ModelWatch:
    """One version of one model.

    Without a baseline it learns one from the predictions it sees; the record after the last one learned from is the
    first that the armed detectors see. ``learned`` then holds the new baseline until the commit has stored it.
    """

    def __init__(self, settings: ModelSettings, version: str, baseline: Baseline | None) -> None:
        self.settings = settings
        self.version = version
        self.baseline = baseline
        self.learned: Baseline | None = None
        self.learner = BaselineLearner(settings) if baseline is None else None
        self.streams: dict[Stream, StreamWatch] = {}
        self._baseline_noted = False
        self._learner_parts: set[str] = set()

    def predictions(
        self, offsets: Sequence[int], times: Sequence[float], records: Sequence[PredictionRecord]
    ) -> Answers:
        """Take in predictions, learning first where there is no baseline yet."""
        if self.learner is None:
            return self._stream(Stream.PREDICTIONS).observe(offsets, times, records)
        used = self.learner.learn(records)
        decided, failures = self._stream(Stream.PREDICTIONS).observe(offsets[:used], times[:used], records[:used])
        if not self.learner.complete:
            return decided, failures
        self._arm(self.learner.freeze())
        if used < len(records):
            more, worse = self._stream(Stream.PREDICTIONS).observe(offsets[used:], times[used:], records[used:])
            decided, failures = decided + more, failures + worse
        return decided, failures

    def losses(self, offsets: Sequence[int], times: Sequence[float], losses: Sequence[float]) -> Answers:
        """Take in the losses of predictions whose outcome is known now."""
        return self._stream(Stream.LOSSES).observe(offsets, times, losses)

    def accesses(self, offsets: Sequence[int], times: Sequence[float], records: Sequence[AccessRecord]) -> Answers:
        """Take in requests to the model."""
        return self._stream(Stream.ACCESS).observe(offsets, times, records)

    def arming(self) -> dict[str, Arming]:
        """Whether each detector can alarm; those that wait for the baseline say how far it is."""
        every: dict[str, Arming] = {}
        for stream in self.streams.values():
            needing = {kind for kind, detector in stream.detectors.items() if detector.needs_baseline}
            for kind, arming in stream.arming().items():
                waits = self.learner is not None and kind in needing and kind not in stream.quarantined
                every[kind] = self._learning() if waits else arming
        return every

    def changed(self) -> dict[str, bytes | None]:
        """Parts of the state that changed since the last call."""
        parts: dict[str, bytes | None] = {}
        for stream in self.streams.values():
            parts.update((f"{stream.stream}/{part}", state) for part, state in stream.changed().items())
        if self.learner is not None:
            parts.update((_LEARNER + part, state) for part, state in self.learner.changed().items())
            self._learner_parts.update(key for key in parts if key.startswith(_LEARNER))
        elif self._learner_parts:
            parts.update(dict.fromkeys(self._learner_parts))
            self._learner_parts.clear()
        if self.baseline is not None and not self._baseline_noted:
            parts[_BASELINE] = self.baseline.digest.encode()
            self._baseline_noted = True
        return parts

    def restore(self, parts: Mapping[str, bytes]) -> list[str]:
        """Take the state back; returns a sentence for each thing that had to start anew."""
        problems: list[str] = []
        same = self.baseline is not None and parts.get(_BASELINE) == self.baseline.digest.encode()
        self._baseline_noted = same
        for stream in Stream:
            prefix = f"{stream}/"
            own = {key.removeprefix(prefix): state for key, state in parts.items() if key.startswith(prefix)}
            if not own:
                continue
            watch = self._stream(stream)
            if not same:
                # The state of these detectors is about another reference; with the new one they start anew.
                stale = tuple(f"{kind}/" for kind, detector in watch.detectors.items() if detector.needs_baseline)
                own = {key: state for key, state in own.items() if not key.startswith(stale)} if stale else own
            problems.extend(watch.restore(own))
        self._learner_parts = {key for key in parts if key.startswith(_LEARNER)}
        if self.learner is not None:
            problems.extend(self._restore_learner(parts))
        return problems

    @staticmethod
    def last_offset(parts: Mapping[str, bytes]) -> int:
        """The newest offset that any stream of this state has seen."""
        return max((last_offset(state) for key, state in parts.items() if key.endswith(f"/{CLOCK}")), default=0)

    def _restore_learner(self, parts: Mapping[str, bytes]) -> list[str]:
        assert self.learner is not None
        own = {key.removeprefix(_LEARNER): state for key, state in parts.items() if key.startswith(_LEARNER)}
        try:
            self.learner.restore(own)
        except StateError as error:
            return [f"the baseline of {self.settings.model} learned so far is not readable ({error}); it starts anew"]
        return []

    def _arm(self, baseline: Baseline) -> None:
        assert self.learner is not None
        self.baseline, self.learned, self.learner = baseline, baseline, None
        for stream in self.streams.values():
            fresh = build(self.settings, self.version, baseline)
            stream.replace([d for d in fresh if d.stream is stream.stream and d.needs_baseline])

    def _stream(self, stream: Stream) -> StreamWatch:
        watch = self.streams.get(stream)
        if watch is None:
            detectors: list[Any] = build(self.settings, self.version, self.baseline)
            watch = StreamWatch(stream, self.settings, [d for d in detectors if d.stream is stream])
            self.streams[stream] = watch
        return watch

    def _learning(self) -> Arming:
        assert self.learner is not None
        return Arming(armed=False, have=self.learner.seen, need=self.settings.baseline.records)


def prefix_of(model: str, version: str) -> str:
    """The key prefix of a model version's state parts; any name is safe in it."""
    return f"model/{quote(model, safe='')}/{quote(version, safe='')}/"


def split_key(key: str) -> tuple[str, str, str]:
    """Model, version and the rest of a state part's key made with :func:`prefix_of`."""
    _, model, version, rest = key.split("/", 3)
    return unquote(model), unquote(version), rest
