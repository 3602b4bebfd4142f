"""The loop that drives one source on its own thread, and what it does when something fails."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from incidents.errors import DatabaseDown, VedetteError
from monitor import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from incidents.clock import Clock
    from monitor.pipeline import Pipeline

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
"""Longest wait for records: how soon a stop is noticed."""

BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits between attempts while the database is away; the last one repeats."""


class SourceLoop:
    """Poll, take in, commit, for ever; pauses the source while the database is away and catches up afterwards."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        clock: Clock,
        commit_interval: float,
        max_records: int,
        failed: Callable[[VedetteError], None],
    ) -> None:
        self.pipeline = pipeline
        self.name = pipeline.source.name
        self.problem: str | None = None
        """Why records are not being taken in now, in one sentence; None when they are."""
        self._clock = clock
        self._commit_interval = commit_interval
        self._max_records = max_records
        self._failed = failed
        self._stop = threading.Event()
        self._went_round = clock.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"source-{self.name}")

    def start(self) -> None:
        """Begin, on a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the loop to end after the step under way."""
        self._stop.set()

    def join(self, timeout: float) -> bool:
        """Wait for the end; False when it took longer."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def running(self) -> bool:
        """Whether the loop's thread lives."""
        return self._thread.is_alive()

    def age(self) -> float:
        """Seconds since the loop last went round."""
        return self._clock.monotonic() - self._went_round

    def _run(self) -> None:
        source = self.pipeline.source
        try:
            source.start(self.pipeline)
            while not self._stop.is_set() and not source.exhausted:
                self._went_round = self._clock.monotonic()
                self._step()
        except VedetteError as error:
            log.error("source stopped", source=self.name, error=str(error))  # noqa: TRY400 -- the sentence says it all
            self.problem = str(error)
            self._failed(error)
        except Exception as error:  # the last line of defence: the daemon must hear of it and end
            metrics.LOOP_ERRORS.labels("source").inc()
            log.exception("source failed", source=self.name)
            self._failed(VedetteError(f"source {self.name} failed: {type(error).__name__}"))
        finally:
            source.close()

    def _step(self) -> None:
        started = self._clock.monotonic()
        try:
            if self.pipeline.needs_recovery:
                self.pipeline.recover()
            count = self.pipeline.step(POLL_SECONDS, self._max_records)
        except DatabaseDown as error:
            self._ride_out(error)
            return
        self.problem = self.pipeline.source.trouble
        metrics.SOURCE_TROUBLE.labels(self.name).set(1 if self.problem else 0)
        if 0 < count < self._max_records // 2:
            # Few records: let more gather, so that a slow stream does not commit for every one of them.
            self._stop.wait(max(self._commit_interval - (self._clock.monotonic() - started), 0.0))

    def _ride_out(self, error: DatabaseDown) -> None:
        """The database is away: stay in the group, take nothing in, and read again what was not committed."""
        source = self.pipeline.source
        source.pause()
        attempt = 0
        while not self._stop.is_set():
            self.problem = str(error)
            metrics.DATABASE_AWAY.labels(self.name).inc()
            log.warning("database away, source paused", source=self.name, error=str(error))
            self._stop.wait(BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)])
            attempt += 1
            self._went_round = self._clock.monotonic()
            source.poll(0.0, self._max_records)  # paused: hands out nothing, keeps the membership alive
            try:
                self.pipeline.recover()
            except DatabaseDown as again:
                error = again
                continue
            source.resume()
            self.problem = None
            log.info("database back, source resumed", source=self.name)
            return
