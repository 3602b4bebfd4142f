"""Finding: a verdict with its place in the stream, and its translation to the alert that incidents understand."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from incidents.alert import Alert, AlertStatus, Json, Severity
from monitor.detectors.base import Verdict
from monitor.records import SeriesKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.sources.base import Gap
    from monitor.watch import Decided, Quarantine

MONITOR = "monitor"
"""Kind of the findings about the monitor itself: data gaps, quarantined detectors, floods of invalid records."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector found, where in the stream, about what.

    ``offset`` is the source offset of the record that decided it. Together with source, partition, detector and
    series it makes the identity: the same stream read again gives the same findings with the same ids.
    """

    source: str
    partition: str
    offset: int
    detector: str
    series: SeriesKey
    verdict: Verdict
    detected: float
    """Event time of the record that decided it, seconds since the epoch."""

    @property
    def id(self) -> str:
        """Deterministic identity: 24 hexadecimal digits (96 bits of BLAKE2b)."""
        parts = (
            self.source,
            self.partition,
            str(self.offset),
            self.detector,
            *self.series,
            self.verdict.kind,
            self.verdict.status.value,
        )
        return hashlib.blake2b("\x1f".join(parts).encode(errors="surrogatepass"), digest_size=12).hexdigest()

    def to_alert(self, labels: Mapping[str, str]) -> Alert:
        """The alert that carries this finding over; ``labels`` are the model's own (team, tier …)."""
        verdict = self.verdict
        change = verdict.evidence.get("change")
        own = {
            "kind": verdict.kind,
            "model": self.series.model,
            "version": self.series.version,
            "detector": self.detector,
            "subject": self.series.subject,
            "source": self.source,
            "segment": self.series.segment,
            "change": change if isinstance(change, str) else "",
        }
        return Alert(
            id=self.id,
            labels={**labels, **own},
            status=verdict.status,
            severity=verdict.severity,
            summary=verdict.summary,
            starts_at=as_datetime(min(verdict.started, self.detected)),
            detected_at=as_datetime(self.detected),
            score=verdict.score,
            threshold=verdict.threshold,
            evidence={**verdict.evidence, "partition": self.partition, "offset": self.offset},
        )


def monitor_finding(
    *,
    source: str,
    partition: str,
    offset: int,
    detector: str,
    change: str,
    summary: str,
    detected: float,
    model: str = "",
    subject: str = "",
    severity: Severity = Severity.HIGH,
    evidence: Mapping[str, Json] | None = None,
) -> Finding:
    """A finding about the monitor itself."""
    verdict = Verdict(
        index=0,
        kind=MONITOR,
        subject=subject,
        status=AlertStatus.FIRING,
        severity=severity,
        summary=summary,
        started=detected,
        evidence={**(evidence or {}), "change": change},
    )
    return Finding(
        source=source,
        partition=partition,
        offset=offset,
        detector=detector,
        series=SeriesKey(model=model, version="", subject=f"{change}:{subject}" if subject else change),
        verdict=verdict,
        detected=detected,
    )


def finding_of(source: str, partition: str, model: str, version: str, decided: Decided) -> Finding:
    """The finding of a detector's verdict."""
    verdict = decided.verdict
    return Finding(
        source=source,
        partition=partition,
        offset=decided.offset,
        detector=decided.detector,
        series=SeriesKey(model, version, verdict.subject, verdict.segment),
        verdict=verdict,
        detected=decided.time,
    )


def quarantine_finding(source: str, partition: str, model: str, failure: Quarantine) -> Finding:
    """A detector raised an error and no longer watches: whoever relies on it must hear of it."""
    return monitor_finding(
        source=source,
        partition=partition,
        offset=failure.offset,
        detector="pipeline",
        change="quarantine",
        subject=failure.detector,
        model=model,
        detected=failure.time,
        summary=f"The {failure.detector} detector of {model or 'requests to no known model'} failed "
        f"({failure.error}) and watches no longer; the others go on. It is tried again when the daemon restarts",
    )


def gap_finding(source: str, gap: Gap, now: float) -> Finding:
    """Records were gone before they could be read: what happened in them is unknown."""
    return monitor_finding(
        source=source,
        partition=gap.partition,
        offset=gap.start,
        detector="pipeline",
        change="gap",
        subject=source,
        detected=now,
        summary=gap.sentence,
        evidence={"from": gap.start, "to": gap.end},
    )


def as_datetime(seconds: float) -> datetime:
    """Epoch seconds as an aware time; what no calendar can hold becomes the nearest day that one can.

    Event times come from records, and a record may say anything; 1 to 253402214400 is 1970 to the end of 9999.
    """
    return datetime.fromtimestamp(min(max(seconds, 0.0), 253_402_214_400.0), UTC)
