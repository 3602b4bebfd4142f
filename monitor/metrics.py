"""Every metric the daemon says about itself, named once, with a one-line meaning.

Labels are bounded: sources and receivers come from the configuration, models are capped by ``limits.max_models``,
reasons and dispositions are closed lists. Nothing from a record but its model's name ever becomes a label.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

RECORDS = Counter("vedette_records", "Records taken in, by source and type.", ["source", "type"], registry=REGISTRY)
INVALID = Counter(
    "vedette_invalid_records",
    "Raw records that became dead letters, by reason.",
    ["source", "reason"],
    registry=REGISTRY,
)
FINDINGS = Counter("vedette_findings", "Findings reported, by model and kind.", ["model", "kind"], registry=REGISTRY)
DISPOSITIONS = Counter(
    "vedette_finding_dispositions",
    "What became of findings (opened, merged, unmatched …).",
    ["disposition"],
    registry=REGISTRY,
)
COMMITS = Counter("vedette_commits", "Checkpoints committed, by source.", ["source"], registry=REGISTRY)
COMMIT_SECONDS = Histogram(
    "vedette_commit_seconds",
    "Time one checkpoint's transaction took.",
    ["source"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
FENCED = Counter(
    "vedette_fenced_commits",
    "Commits refused because another owner has the partition.",
    ["source"],
    registry=REGISTRY,
)
DATABASE_AWAY = Counter("vedette_database_away", "Times the database did not answer.", ["source"], registry=REGISTRY)
LAG = Gauge(
    "vedette_source_lag",
    "Records (bytes, for files) not taken in yet.",
    ["source", "partition"],
    registry=REGISTRY,
)
RECORD_AGE = Gauge(
    "vedette_record_age_seconds",
    "Age of the newest record taken in, when its batch was committed.",
    ["source"],
    registry=REGISTRY,
)
DETECTOR_ARMED = Gauge(
    "vedette_detector_armed",
    "1 when the detector can alarm, 0 while it is learning.",
    ["model", "detector"],
    registry=REGISTRY,
)
DETECTOR_QUARANTINED = Gauge(
    "vedette_detector_quarantined",
    "1 when the detector raised an error and was taken out.",
    ["model", "detector"],
    registry=REGISTRY,
)
SOURCE_TROUBLE = Gauge("vedette_source_trouble", "1 while a source cannot be read.", ["source"], registry=REGISTRY)
LOOP_AGE = Gauge(
    "vedette_loop_age_seconds", "Time since a source's loop last went round.", ["source"], registry=REGISTRY
)
TICK_AGE = Gauge("vedette_tick_age_seconds", "Time since timers were last swept.", registry=REGISTRY)
INCIDENTS_OPEN = Gauge("vedette_incidents_open", "Cases not closed, by status.", ["status"], registry=REGISTRY)
OUTBOX_OLDEST = Gauge(
    "vedette_outbox_oldest_seconds", "Age of the oldest delivery still to be sent.", registry=REGISTRY
)
DELIVERIES = Counter(
    "vedette_deliveries",
    "Deliveries tried, by receiver and result (sent, retry, ambiguous, dead).",
    ["receiver", "result"],
    registry=REGISTRY,
)
ESCALATIONS = Counter("vedette_escalations", "Escalation levels reached.", registry=REGISTRY)
LOOP_ERRORS = Counter(
    "vedette_loop_errors", "Errors a supervision loop survived, by place.", ["place"], registry=REGISTRY
)
