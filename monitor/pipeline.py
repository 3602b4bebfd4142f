"""The page to read first: how bytes become committed findings.

    poll → decode → join → route → block → detect → commit

Everything up to the commit happens in memory, in :class:`monitor.partition.PartitionState`. The commit is one
transaction per batch and partition, and it holds everything the batch caused: the fenced position, the detector state
that is true for it, new baselines, dead letters, findings and what the incident manager makes of them (cases, timers,
outbox rows). Whatever fails, memory is never ahead of the store: the partition is loaded again and read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from monitor import baselines, checkpoints, metrics
from monitor.checkpoints import Fenced
from monitor.findings import gap_finding
from monitor.partition import Effects, Labelled, PartitionState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from incidents.clock import Clock
    from incidents.manager import Manager
    from incidents.store.session import Store
    from monitor.dead_letters import DeadLetters
    from monitor.sources.base import Batch, Gap, Position, Source

log = structlog.get_logger(__name__)


class Pipeline:
    """One source, taken in partition by partition."""

    def __init__(
        self,
        source: Source,
        store: Store,
        manager: Manager,
        letters: DeadLetters,
        open_partition: Callable[[Session, str, Mapping[str, bytes]], PartitionState],
        *,
        owner: str,
        clock: Clock,
    ) -> None:
        self.source = source
        self.partitions: dict[str, PartitionState] = {}
        self._store = store
        self._manager = manager
        self._letters = letters
        self._open_partition = open_partition
        self._owner = owner
        self._clock = clock
        self._gaps: list[Gap] = []
        self._claims: dict[str, checkpoints.Claim] = {}
        self._unclaimed: set[str] = set()
        """Assigned to us while the database was away: nothing of them is taken in before they are claimed."""

    # -- the flow ------------------------------------------------------------------------------------------------

    def step(self, timeout: float, max_records: int) -> int:
        """Wait for records, take them in, commit; returns how many there were.

        Raises:
            DatabaseDown: nothing more can be committed now; call :meth:`recover` until it succeeds.
        """
        count = 0
        for batch in self.source.poll(timeout, max_records):
            if batch.partition in self._unclaimed or batch.partition not in self.partitions:
                continue
            self._take(batch)
            count += len(batch)
        self._report_gaps()
        return count

    def _take(self, batch: Batch) -> None:
        state = self.partitions[batch.partition]
        effects = state.take(batch, self._clock.now().timestamp())
        started = self._clock.monotonic()
        try:
            with self._store.transaction() as session:
                self._commit(session, state, effects, batch.next)
        except Fenced as fenced:
            self._drop(batch.partition)
            metrics.FENCED.labels(self.source.name).inc()
            log.warning(
                "partition has another owner", source=self.source.name, partition=batch.partition, why=str(fenced)
            )
            return
        self.source.committed(batch.partition, batch.next)
        self._measure(effects, started)

    def _commit(self, session: Session, state: PartitionState, effects: Effects, position: Position) -> None:
        now = self._clock.now()
        source, partition = self.source.name, state.partition
        checkpoints.commit(session, self._claims[partition], position, state.changed(), now)
        for key, baseline in effects.baselines:
            baselines.save(
                session,
                model=key.model,
                version=key.version,
                scope=state.scope,
                baseline=baseline,
                origin="stream",
                author="vedette",
                reason=f"the first {baseline.records:,} predictions seen",
                now=now,
            )
        if effects.letters:
            self._letters.keep(session, source, partition, effects.letters, now)
        self._report(session, effects.findings, now)

    def _report(self, session: Session, findings: Sequence[Labelled], now: datetime) -> None:
        if not findings:
            return
        alerts = [finding.to_alert(labels) for finding, labels in findings]
        for reported in self._manager.report(session, alerts, now):
            metrics.DISPOSITIONS.labels(str(reported.disposition)).inc()

    def _measure(self, effects: Effects, started: float) -> None:
        source = self.source.name
        metrics.COMMITS.labels(source).inc()
        metrics.COMMIT_SECONDS.labels(source).observe(self._clock.monotonic() - started)
        for kind, count in effects.counts.items():
            metrics.RECORDS.labels(source, kind).inc(count)
        for letter in effects.letters:
            metrics.INVALID.labels(source, letter.record.reason.value).inc()
        for finding, _ in effects.findings:
            metrics.FINDINGS.labels(finding.series.model, finding.verdict.kind).inc()
        if effects.newest:
            metrics.RECORD_AGE.labels(source).set(max(self._clock.now().timestamp() - effects.newest, 0.0))

    # -- partitions come and go ----------------------------------------------------------------------------------

    def assigned(self, partitions: Collection[str]) -> dict[str, Position | None]:
        """Claim partitions: raise their epoch, load their state, say where to continue."""
        answer: dict[str, Position | None] = {}
        for partition in partitions:
            try:
                answer[partition] = self._claim(partition)
            except Exception as error:  # noqa: BLE001 -- on the library's thread nothing may escape; recover() retries
                metrics.LOOP_ERRORS.labels("assign").inc()
                log.warning("partition not claimed yet", partition=partition, error=type(error).__name__)
                self._unclaimed.add(partition)
                answer[partition] = None
        return answer

    def revoked(self, partitions: Collection[str]) -> None:
        """Let partitions go; everything taken in is committed at the end of each step."""
        for partition in partitions:
            self._drop(partition)

    lost = revoked

    @property
    def needs_recovery(self) -> bool:
        """Whether partitions are ours that could not be claimed."""
        return bool(self._unclaimed)

    def recover(self) -> None:
        """After an error: throw memory away, load what the store holds, and read on from there.

        Raises:
            DatabaseDown: it is still away.
        """
        for partition in sorted({*self.partitions, *self._unclaimed}):
            try:
                position = self._claim(partition) if partition in self._unclaimed else self._reload(partition)
            except Fenced:
                self._drop(partition)
                continue
            self.source.seek(partition, position)

    def _claim(self, partition: str) -> Position | None:
        with self._store.transaction() as session:
            restored = checkpoints.claim(session, self.source.name, partition, self._owner, self._clock.now())
            self._install(session, restored)
        self._unclaimed.discard(partition)
        return restored.position

    def _reload(self, partition: str) -> Position | None:
        with self._store.transaction() as session:
            restored = checkpoints.reload(session, self._claims[partition])
            self._install(session, restored)
        return restored.position

    def _install(self, session: Session, restored: checkpoints.Restored) -> None:
        partition = restored.claim.partition
        self._claims[partition] = restored.claim
        self.partitions[partition] = self._open_partition(session, partition, restored.parts)

    def _drop(self, partition: str) -> None:
        self.partitions.pop(partition, None)
        self._claims.pop(partition, None)
        self._unclaimed.discard(partition)

    def _report_gaps(self) -> None:
        # A gap leaves the list only when it is committed: the database may be away just now.
        self._gaps.extend(self.source.gaps())
        while self._gaps:
            gap = self._gaps[0]
            finding = gap_finding(self.source.name, gap, self._clock.now().timestamp())
            with self._store.transaction() as session:
                self._report(session, [(finding, {})], self._clock.now())
            log.error("data gap", source=self.source.name, partition=gap.partition, why=gap.sentence)
            self._gaps.pop(0)
