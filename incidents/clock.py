"""The only place that reads the time of day.

Everything else takes the time as an argument, so that tests fast-forward instead of sleeping.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Something that knows what time it is."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on the machine's monotonic clock."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when it is told to: for tests, simulations and replays."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._now = start

    def now(self) -> datetime:
        """The time it was last set to."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since the start."""
        return (self._now - self._start).total_seconds()

    def advance(self, by: timedelta) -> datetime:
        """Move forward by a duration and return the new time."""
        if by < timedelta(0):
            raise ValueError("a manual clock only moves forward; use set() to model a clock jump")
        self._now += by
        return self._now

    def set(self, to: datetime) -> None:
        """Jump to a time, forward or back."""
        self._now = to
