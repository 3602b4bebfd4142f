"""Findings have deterministic identities and become alerts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from incidents.alert import AlertStatus, Severity
from monitor.detectors.base import Verdict
from monitor.findings import Finding, as_datetime, gap_finding, quarantine_finding
from monitor.records import SeriesKey
from monitor.sources.base import Gap
from monitor.watch import Quarantine


def finding(**changes: object) -> Finding:
    """A drift finding about one feature of a credit model."""
    verdict = Verdict(
        index=3, kind="drift", subject="income", summary="income moved", started=900.0, evidence={"change": "location"}
    )
    parts: dict[str, object] = {
        "source": "ingest",
        "partition": "spool",
        "offset": 41,
        "detector": "drift",
        "series": SeriesKey("credit-risk", "7", "income"),
        "verdict": verdict,
        "detected": 1000.0,
    }
    return Finding(**{**parts, **changes})


def test_the_same_finding_has_the_same_id() -> None:
    """Reading a stream again finds the same findings."""
    assert finding().id == finding().id
    assert len(finding().id) == 24


@pytest.mark.parametrize(
    "change",
    [
        {"source": "other"},
        {"partition": "spool-1"},
        {"offset": 42},
        {"detector": "quality"},
        {"series": SeriesKey("credit-risk", "7", "age")},
        {"series": SeriesKey("credit-risk", "8", "income")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_place_or_subject_is_another_finding(change: dict[str, object]) -> None:
    """Each part of the identity counts."""
    assert finding(**change).id != finding().id


def test_an_alert_carries_the_labels_of_the_model_but_not_over_its_own() -> None:
    """A model's labels are for matching playbooks; they cannot disguise what a finding is about."""
    alert = finding().to_alert({"team": "credit", "kind": "nothing"})
    assert alert.labels["team"] == "credit"
    assert alert.labels["kind"] == "drift"
    assert alert.labels["change"] == "location"
    assert alert.id == finding().id
    assert alert.starts_at == datetime.fromtimestamp(900, UTC)
    assert alert.status is AlertStatus.FIRING


def test_a_condition_never_starts_after_it_was_detected() -> None:
    """An estimate later than the detection is cut back to it."""
    late = Verdict(index=0, kind="drift", subject="", summary="", started=2000.0)
    assert finding(verdict=late).to_alert({}).starts_at == datetime.fromtimestamp(1000, UTC)


@pytest.mark.parametrize("seconds", [-1e300, -1.0, 0.0, 1e12, 1e300])
def test_times_beyond_the_calendar_do_not_fail(seconds: float) -> None:
    """Event times come from records and may be anything finite."""
    assert as_datetime(seconds).tzinfo is UTC


def test_findings_about_the_monitor_say_what_is_no_longer_watched() -> None:
    """A quarantine and a gap are of kind monitor, name their subject and are urgent."""
    quarantine = quarantine_finding("ingest", "spool", "credit-risk", Quarantine("drift", "ValueError", 5, 10.0))
    gap = gap_finding("ingest", Gap(partition="spool", start=5, end=9, sentence="Records 5 to 8 are gone"), 10.0)
    for found, change in ((quarantine, "quarantine"), (gap, "gap")):
        alert = found.to_alert({})
        assert alert.labels["kind"] == "monitor"
        assert alert.labels["change"] == change
        assert alert.severity is Severity.HIGH
    assert "watches no longer" in quarantine.verdict.summary
