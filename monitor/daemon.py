"""The composition root: the one place that knows every part, what starts before what, and what stops first."""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import structlog

from incidents.delivery import Dispatcher
from incidents.errors import VedetteError
from incidents.manager import Manager
from incidents.notifiers import build_notifiers
from incidents.playbooks.loader import load_playbooks
from incidents.receivers import load_receivers
from incidents.scheduler import Tick
from incidents.store import migrate, outbox
from incidents.store.cases import count_by_status
from incidents.store.session import Store
from monitor import metrics
from monitor.dead_letters import DeadLetters
from monitor.health import HealthServer
from monitor.partition import PartitionOpener
from monitor.pipeline import Pipeline
from monitor.source_loop import SourceLoop
from monitor.sources import open_source
from monitor.supervision import DatabaseLock, SystemdNotifier

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from incidents.clock import Clock
    from monitor.settings.schema import Settings

log = structlog.get_logger(__name__)

STUCK_SECONDS = 60.0
"""A loop that has not gone round for this long is stuck: polls take half a second, a busy database ten at most."""

DRAIN_SECONDS = 8.0
"""Time for everything to stop; the promise is ten."""


class Daemon:
    """A running vedette. Build it with :func:`build`."""

    def __init__(  # every part it runs, and the clock
        self,
        settings: Settings,
        store: Store,
        manager: Manager,
        loops: list[SourceLoop],
        dispatcher: Dispatcher,
        clock: Clock,
        environ: Mapping[str, str],
    ) -> None:
        self.settings = settings
        self.store = store
        self.manager = manager
        self.loops = loops
        self.health = HealthServer(settings.health.listen, self)
        self._dispatcher = dispatcher
        self._clock = clock
        self._systemd = SystemdNotifier(environ)
        self._tick = Tick(self._sweep, every=settings.sweep_every, clock=clock)
        self._delivery = threading.Thread(target=self._deliver, name="delivery")
        self._ending = threading.Event()
        self._stop = threading.Event()
        """Set when everything that can cause deliveries has stopped."""
        self._wake = threading.Event()
        self._error: VedetteError | None = None

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start in the order of need: probes, delivery, timers, and the sources last."""
        self.health.start()
        self._delivery.start()
        self._tick.start()
        for loop in self.loops:
            loop.start()
        log.info("vedette runs", sources=[loop.name for loop in self.loops], health=self.settings.health.listen)
        self._systemd.tell("READY=1")

    def wait(self) -> None:
        """Until something ends the daemon: a signal, an error that waiting cannot cure, or the end of every source.

        Raises:
            VedetteError: what ended it.
        """
        while not self._ending.wait(1.0):
            if not self.alive():
                self._systemd.tell("WATCHDOG=1")
            if self.loops and not any(loop.running for loop in self.loops):
                log.info("every source is at its end")
                break
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Drain and stop: sources first, so that nothing new comes; deliveries last: what was opened is told."""
        self._systemd.tell("STOPPING=1")
        deadline = self._clock.monotonic() + DRAIN_SECONDS
        for loop in self.loops:
            loop.stop()
        for loop in self.loops:
            if loop.running and not loop.join(max(deadline - self._clock.monotonic(), 0.1)):
                log.error("source did not stop in time", source=loop.name)
        self._tick.stop()
        self._stop.set()
        self._wake.set()
        if self._delivery.is_alive():
            self._delivery.join(max(deadline - self._clock.monotonic(), 0.1))
        self._dispatcher.close()
        self.health.stop()
        self.store.close()
        log.info("vedette stopped")

    def request_stop(self) -> None:
        """End :meth:`wait`; safe in a signal's context."""
        self._ending.set()

    def fail(self, error: VedetteError) -> None:
        """An error that waiting cannot cure: end, and let the caller say it."""
        self._error = self._error or error
        self._ending.set()

    def reload_playbooks(self) -> None:
        """Read the playbooks anew; on any mistake the old ones stay in force. Running cases keep theirs."""
        try:
            playbooks = load_playbooks(self.settings.playbooks_directory)
        except VedetteError as error:
            log.error("playbooks not reloaded", error=str(error))  # noqa: TRY400 -- the sentence says it all
            return
        self.manager.playbooks = playbooks
        log.info("playbooks reloaded", count=len(playbooks))

    # -- singleton work ------------------------------------------------------------------------------------------

    def _sweep(self, now: datetime) -> None:
        report = self.manager.sweep(now)
        metrics.ESCALATIONS.inc(report.escalated)
        self._wake.set()

    def _deliver(self) -> None:
        last = False
        while not last:
            self._wake.wait(self.settings.sweep_every.total_seconds())
            self._wake.clear()
            last = self._stop.is_set()  # one more round after the stop: what was opened last is told
            try:
                report = self._dispatcher.run_once(self._clock.now())
            except Exception as error:  # noqa: BLE001 -- supervision loop: deliveries are rows and will be tried again
                metrics.LOOP_ERRORS.labels("delivery").inc()
                log.warning("deliveries not sent now", error=type(error).__name__)
                continue
            for (receiver, result), count in report.counts.items():
                metrics.DELIVERIES.labels(receiver, result).inc(count)

    # -- probes --------------------------------------------------------------------------------------------------

    def alive(self) -> list[str]:
        """What only a restart cures."""
        problems = [
            f"source {loop.name} has not gone round for {loop.age():.0f} s"
            for loop in self.loops
            if loop.running and loop.age() > STUCK_SECONDS
        ]
        if self._tick.age() > STUCK_SECONDS:
            problems.append(f"timers have not been swept for {self._tick.age():.0f} s")
        return problems

    def ready(self) -> list[str]:
        """What keeps records from being taken in now."""
        problems = [f"source {loop.name}: {loop.problem}" for loop in self.loops if loop.problem]
        problems += [f"source {loop.name} waits for its partitions" for loop in self.loops if not loop.assignment_known]
        try:
            migrate.require_head(self.store)
        except VedetteError as error:
            problems.append(str(error))
        return problems

    def refresh(self) -> None:
        """Gauges that are cheaper to read than to keep."""
        for loop in self.loops:
            metrics.LOOP_AGE.labels(loop.name).set(loop.age())
            for partition, lag in loop.pipeline.source.lag().items():
                metrics.LAG.labels(loop.name, partition).set(lag)
            for (model, detector), armed in loop.pipeline.arming().items():
                metrics.DETECTOR_ARMED.labels(model, detector).set(armed)
        metrics.TICK_AGE.set(self._tick.age())
        try:
            with self.store.transaction() as session:
                oldest = outbox.oldest_pending(session, self._clock.now())
                counts = count_by_status(session)
        except VedetteError:
            return  # readyz says it; the other gauges are still worth scraping
        metrics.OUTBOX_OLDEST.set(oldest)
        for status, count in counts.items():
            metrics.INCIDENTS_OPEN.labels(status).set(count)


def build(settings: Settings, *, clock: Clock, environ: Mapping[str, str]) -> Daemon:
    """Put a daemon together; nothing runs and nothing listens yet.

    Raises:
        VedetteError: a file is wrong, the database is away or at another migration, or a source refuses its settings.
    """
    store = open_store(settings)
    playbooks = load_playbooks(settings.playbooks_directory)
    receivers = load_receivers(settings.receivers_file)
    notifiers = build_notifiers(receivers, environ)
    manager = Manager(store, playbooks, receivers=[receiver.name for receiver in receivers])
    owner = f"{socket.gethostname()}:{os.getpid()}"
    letters = DeadLetters(kept=settings.limits.dead_letters_kept)
    failures: list[Daemon] = []
    loops = [
        SourceLoop(
            Pipeline(
                open_source(source),
                store,
                manager,
                letters,
                PartitionOpener(settings, source),
                owner=owner,
                clock=clock,
            ),
            clock=clock,
            commit_interval=settings.pipeline.commit_interval.total_seconds(),
            max_records=settings.pipeline.max_poll_records,
            failed=lambda error: failures[0].fail(error),  # noqa: PLW0108 -- the daemon does not exist yet
        )
        for source in settings.sources
    ]
    dispatcher = Dispatcher(store, notifiers, holder=owner)
    daemon = Daemon(settings, store, manager, loops, dispatcher, clock, environ)
    failures.append(daemon)
    return daemon


def open_store(settings: Settings) -> Store:
    """Open the database; an empty one gets its tables, any other must be at this version's migration."""
    store = Store.open(settings.database.url)
    if migrate.state(store).is_empty:
        migrate.upgrade(store)
    migrate.require_head(store)
    return store


def run(settings: Settings, *, clock: Clock, environ: Mapping[str, str]) -> None:
    """Run until SIGTERM or SIGINT (drain and stop); SIGHUP reloads the playbooks.

    Raises:
        VedetteError: what kept it from starting, or ended it.
    """
    lock = DatabaseLock(settings.database.url)
    lock.acquire()
    try:
        daemon = build(settings, clock=clock, environ=environ)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: daemon.request_stop())
        reloads = threading.Thread(target=_reload_on_hangup, args=(daemon,), name="reload", daemon=True)
        signal.signal(signal.SIGHUP, lambda *_: _HANGUP.set())
        reloads.start()
        try:
            daemon.start()
            daemon.wait()
        finally:
            daemon.stop()
    finally:
        lock.release()


_HANGUP = threading.Event()


def _reload_on_hangup(daemon: Daemon) -> None:
    # A signal's context may interrupt anything, a transaction among it; the work is done on a thread of its own.
    while True:
        _HANGUP.wait()
        _HANGUP.clear()
        daemon.reload_playbooks()
