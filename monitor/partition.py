"""A partition in memory: decode → join → route → block → detect, with every piece of state that a restart needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from monitor import baselines
from monitor.baselines import Baseline
from monitor.dead_letters import InvalidShare, Letter
from monitor.decoders import DECODERS
from monitor.decoders.base import DecodedBatch
from monitor.decoders.detect import detect_format
from monitor.findings import Finding, finding_of, quarantine_finding
from monitor.joins import FragmentJoin, OutcomeJoin
from monitor.model_watch import ModelWatch, prefix_of, split_key
from monitor.records import Fragment, InvalidReason, InvalidRecord
from monitor.routing import ModelVersion, Routed, Router

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from monitor.detectors.base import Arming
    from monitor.model_watch import Answers
    from monitor.settings.models import ModelSettings
    from monitor.settings.schema import Settings, SourceSettings
    from monitor.sources.base import Batch, Headers

log = structlog.get_logger(__name__)

_FORMAT = "format"
_OUTCOMES = "join/outcomes/"
_FRAGMENTS = "join/fragments/"
DETECTION_SAMPLE = 50

Labelled = tuple[Finding, "Mapping[str, str]"]
"""A finding and the labels that its model's settings put on every alert."""


class Effects(msgspec.Struct):
    """What a batch caused, beside the state that changed."""

    findings: list[Labelled] = []
    letters: list[Letter] = []
    baselines: list[tuple[ModelVersion, Baseline]] = []
    counts: dict[str, int] = {}
    newest: float = 0.0


class PartitionState:
    """Everything known about one partition. Pure: time comes in as an argument, nothing is read or written."""

    def __init__(
        self, settings: Settings, source: SourceSettings, partition: str, known: Mapping[ModelVersion, Baseline]
    ) -> None:
        self.partition = partition
        self.source = source.name
        self.scope = f"{source.name}/{partition}"
        self.watches: dict[ModelVersion, ModelWatch] = {}
        self._settings = settings
        self._format = source.format
        self._format_noted = source.format != "auto"
        self._known = dict(known)
        self._models = {model.model: model for model in settings.models}
        self._router = Router(settings.limits.max_features)
        self._outcomes = OutcomeJoin()
        self._fragments = FragmentJoin()
        self._share = InvalidShare(settings.limits.dead_letter_window, settings.limits.dead_letter_share)
        self._seen: dict[ModelVersion, int] = {}
        """Offset at which each version was last seen: the one unseen for longest makes room for a new one."""
        self._gone: set[str] = set()
        self._stored: set[str] = set()

    # -- the flow ------------------------------------------------------------------------------------------------

    def take(self, batch: Batch, now: float) -> Effects:
        """Take in a batch; memory moves on, and :meth:`changed` then gives what must be stored with ``batch.next``.

        Raises:
            VedetteError: nearly everything is invalid; going on would throw a misread stream away.
        """
        effects = Effects(findings=[], letters=[], baselines=[], counts={})
        if not len(batch):
            return effects
        decoded = self._join_fragments(self._decode(batch), batch.offsets, effects)
        latest = self._latest_time(batch, now)
        routed = self._router.route(decoded.items, decoded.origins, batch.offsets, latest)
        self._detect(routed, effects)
        self._bury(routed, batch, effects)
        effects.newest = routed.newest
        return effects

    def _decode(self, batch: Batch) -> DecodedBatch:
        if self._format == "auto":
            self._format = self._detect_format(batch)
        if self._format == "auto":
            sentence = "the format of these records is not recognised; set `format:` on the source"
            invalid = InvalidRecord(reason=InvalidReason.UNSUPPORTED, detail=sentence)
            return DecodedBatch(items=[invalid] * len(batch), origins=range(len(batch)))
        return DECODERS[self._format].decode_batch(batch)

    def _detect_format(self, batch: Batch) -> str:
        headers: Sequence[Headers] = batch.headers if batch.headers is not None else [()] * len(batch)
        sample = list(zip(batch.values, headers, strict=True))[:DETECTION_SAMPLE]
        detection = detect_format(sample)
        log.info(
            "format", source=self.source, partition=self.partition, format=detection.format, why=detection.sentence
        )
        return detection.format or "auto"

    def _join_fragments(self, decoded: DecodedBatch, offsets: Sequence[int], effects: Effects) -> DecodedBatch:
        if not any(type(item) is Fragment for item in decoded.items):
            return decoded
        items, origins = [], []
        for item, origin in zip(decoded.items, decoded.origins, strict=True):
            joined = self._fragments.put(item, offsets[origin]) if type(item) is Fragment else (item,)
            items.extend(joined)
            origins.extend([origin] * len(joined))
        effects.counts["fragment"] = sum(type(item) is Fragment for item in decoded.items)
        return DecodedBatch(items=items, origins=origins)

    def _detect(self, routed: Routed, effects: Effects) -> None:
        for key, run in routed.predictions.items():
            watch = self._watch(key, run.offsets[-1], effects)
            if watch is None:
                too_many = InvalidRecord(
                    reason=InvalidReason.TOO_MANY_MODELS,
                    detail=f"limits.max_models allows {self._settings.limits.max_models} models in a partition",
                )
                routed.invalid.extend((origin, too_many) for origin in run.origins)
                continue
            self._report(key, watch.predictions(run.offsets, run.times, run.records), effects)
            if watch.learned is not None:
                effects.baselines.append((key, watch.learned))
                self._known[key], watch.learned = watch.learned, None
            effects.counts["prediction"] = effects.counts.get("prediction", 0) + len(run.records)
        self._detect_losses(routed, effects)
        for key, run in routed.accesses.items():
            watch = self._watch(key, run.offsets[-1], effects)
            if watch is not None:
                self._report(key, watch.accesses(run.offsets, run.times, run.records), effects)
            effects.counts["access"] = effects.counts.get("access", 0) + len(run.records)

    def _detect_losses(self, routed: Routed, effects: Effects) -> None:
        """Pair predictions with outcomes, whichever came first, and feed the losses to the version that predicted."""
        for key, run in self._outcomes.join(routed.joining).items():
            watch = self._watch(key, run.offsets[-1], effects)
            if watch is not None:
                self._report(key, watch.losses(run.offsets, run.times, run.losses), effects)
        if routed.outcomes:
            effects.counts["outcome"] = routed.outcomes

    def _report(self, key: ModelVersion, answers: Answers, effects: Effects) -> None:
        decided, failures = answers
        labels = self._settings_of(key.model).labels
        for one in decided:
            effects.findings.append((finding_of(self.source, self.partition, key.model, key.version, one), labels))
        for failure in failures:
            finding = quarantine_finding(self.source, self.partition, key.model, failure)
            effects.findings.append((finding, labels))

    def _bury(self, routed: Routed, batch: Batch, effects: Effects) -> None:
        """Make dead letters of what was no record; stop when nearly everything is."""
        items: dict[int, int] = {}
        for origin, record in routed.invalid:
            item = items[origin] = items.get(origin, -1) + 1
            effects.letters.append(
                Letter(
                    offset=batch.offsets[origin],
                    item=item,
                    format=self._format,
                    record=record,
                    value=batch.values[origin],
                    headers=batch.headers[origin] if batch.headers is not None else (),
                )
            )
        bad = {origin: record.reason for origin, record in routed.invalid}
        self._share.observe([bad.get(index) for index in range(len(batch))])

    # -- watches -------------------------------------------------------------------------------------------------

    def _watch(self, key: ModelVersion, offset: int, effects: Effects) -> ModelWatch | None:
        """The watch of a model version, made on first sight; None when there are too many models already."""
        self._seen[key] = offset
        watch = self.watches.get(key)
        if watch is not None:
            return watch
        versions = [other for other in self.watches if other.model == key.model]
        if not versions and len({other.model for other in self.watches}) >= self._settings.limits.max_models:
            del self._seen[key]
            return None
        if len(versions) >= self._settings.limits.max_versions_per_model:
            self._forget(min(versions, key=lambda version: (self._seen[version], version)))
        if not versions and key.model not in self._models and key.model:
            effects.counts["unknown_model"] = effects.counts.get("unknown_model", 0) + 1
            log.info("model without settings is watched with the defaults", model=key.model, source=self.source)
        watch = self.watches[key] = ModelWatch(self._settings_of(key.model), key.version, self._known.get(key))
        return watch

    def _forget(self, key: ModelVersion) -> None:
        prefix = prefix_of(*key)
        self._gone.update(stored for stored in self._stored if stored.startswith(prefix))
        del self.watches[key], self._seen[key]
        log.warning("version forgotten to make room", model=key.model, version=key.version, source=self.source)

    def _settings_of(self, model: str) -> ModelSettings:
        known = self._models.get(model)
        if known is None:
            known = self._models[model] = self._settings.defaults.model_copy(update={"model": model})
        return known

    def _latest_time(self, batch: Batch, now: float) -> float:
        # When the source knows when a record was appended, a replay years later decides as the first reading did.
        arrived = max(batch.appended) if batch.appended else now
        return arrived + self._settings.limits.clock_ahead.total_seconds()

    def arming(self) -> dict[tuple[str, str, str], Arming]:
        """Whether each detector can alarm, by model, version and detector."""
        return {
            (*key, detector): arming
            for key, watch in self.watches.items()
            for detector, arming in watch.arming().items()
        }

    # -- state ---------------------------------------------------------------------------------------------------

    def changed(self) -> dict[str, bytes | None]:
        """Parts of the state that changed since the last call, by key; None deletes a part."""
        parts: dict[str, bytes | None] = dict.fromkeys(self._gone)
        self._gone.clear()
        if not self._format_noted and self._format != "auto":
            parts[_FORMAT] = self._format.encode()
            self._format_noted = True
        parts.update(_prefixed(_OUTCOMES, self._outcomes.changed()))
        parts.update(_prefixed(_FRAGMENTS, self._fragments.changed()))
        for key, watch in self.watches.items():
            parts.update(_prefixed(prefix_of(*key), watch.changed()))
        self._stored.update(key for key, state in parts.items() if state is not None)
        self._stored.difference_update(key for key, state in parts.items() if state is None)
        return parts

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Take the state back; what cannot be read starts anew and says so in the log."""
        self._stored = set(parts)
        if _FORMAT in parts and not self._format_noted:
            self._format, self._format_noted = parts[_FORMAT].decode(), True
        self._outcomes.restore(_below(_OUTCOMES, parts))
        self._fragments.restore(_below(_FRAGMENTS, parts))
        models: dict[ModelVersion, dict[str, bytes]] = {}
        for key, state in parts.items():
            if key.startswith("model/"):
                model, version, rest = split_key(key)
                models.setdefault(ModelVersion(model, version), {})[rest] = state
        for key, own in models.items():
            watch = self.watches[key] = ModelWatch(self._settings_of(key.model), key.version, self._known.get(key))
            self._seen[key] = watch.last_offset(own)
            for problem in watch.restore(own):
                log.warning("state starts anew", why=problem, source=self.source, partition=self.partition)


def _prefixed(prefix: str, parts: Mapping[str, bytes | None]) -> Iterable[tuple[str, bytes | None]]:
    return ((prefix + part, state) for part, state in parts.items())


def _below(prefix: str, parts: Mapping[str, bytes]) -> dict[str, bytes]:
    return {key.removeprefix(prefix): state for key, state in parts.items() if key.startswith(prefix)}


class PartitionOpener:
    """Opens partitions of one source: finds their baselines in the store and gives them their state back."""

    def __init__(self, settings: Settings, source: SourceSettings) -> None:
        self._settings = settings
        self._source = source

    def __call__(self, session: Session, partition: str, parts: Mapping[str, bytes]) -> PartitionState:
        """A partition as the store knows it."""
        known = baselines.in_force(session, scope=f"{self._source.name}/{partition}")
        state = PartitionState(self._settings, self._source, partition, known)
        state.restore(parts)
        return state
