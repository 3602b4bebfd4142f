"""What every detector is: fed chunks of one stream of one model, it answers with verdicts.

The pipeline cuts the stream into *blocks* (:mod:`monitor.blocks`) by record count or event time, never by wall clock
or poll boundaries. A chunk is any run of consecutive records together with the places where blocks close inside it.
A detector must give the same verdicts and reach the same state however the stream is cut into chunks: that is what
makes a replay bit-identical, and the contract suite checks it for every entry of the table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import msgspec

from incidents.alert import AlertStatus, Json, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.records import AccessRecord, PredictionRecord


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive records of one stream of one model.

    Attributes:
        offsets: The source offset each record came from, ascending (equal for rows of one batch request).
        times: Event time of each record, seconds since the epoch; not necessarily ascending.
        closes: Ends (exclusive) of the blocks that close inside this chunk, strictly ascending, each in
            ``0..len``. 0 closes the block that was open before this chunk. Records after the last close stay open.
    """

    offsets: Sequence[int]
    times: Sequence[float]
    closes: Sequence[int]

    def __len__(self) -> int:
        return len(self.offsets)


class PredictionChunk(Chunk, frozen=True, kw_only=True):
    """Predictions of one model version."""

    records: Sequence[PredictionRecord]


class LossChunk(Chunk, frozen=True, kw_only=True):
    """Losses of predictions whose outcome is known: 0/1 for classes, absolute error for numbers. Finite or NaN."""

    losses: Sequence[float]


class AccessChunk(Chunk, frozen=True, kw_only=True):
    """Requests to one model (or to no model we know: the model's name is then empty)."""

    records: Sequence[AccessRecord]


C = TypeVar("C", bound=Chunk)


class Stream(StrEnum):
    """The streams of a model that detectors can watch."""

    PREDICTIONS = "predictions"
    LOSSES = "losses"
    ACCESS = "access"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A detector is sure of something.

    Attributes:
        index: Position in the chunk of the record that decided it (the last of the closing block; -1 when the block
            had closed before this chunk's first record).
        kind: drift, quality, error, requests, access or monitor.
        subject: Feature, principal, address …; empty for the model as a whole.
        status: The condition holds, or has been seen to end.
        started: Estimated event time of the beginning, seconds since the epoch.
        summary: One sentence for a tired person; text from records is allowed here, neutralised at the edges.
    """

    index: int
    kind: str
    subject: str
    summary: str
    started: float
    status: AlertStatus = AlertStatus.FIRING
    severity: Severity = Severity.MEDIUM
    score: float | None = None
    threshold: float | None = None
    segment: str = ""
    evidence: Mapping[str, Json] = {}


class Arming(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a detector can alarm yet, and if not, how far it is. Not armed is a state, shown everywhere."""

    armed: bool
    have: int = 0
    need: int = 0
    unit: str = "reference records"
    reason: str = ""

    def __str__(self) -> str:
        if self.armed:
            return "armed"
        progress = f"{self.have:,} of {self.need:,} {self.unit}" if self.need else ""
        return "not armed: " + ", ".join(part for part in (progress, self.reason) if part)


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """A detector's statistic as it stands, for ``vedette explain`` and the metrics."""

    subject: str
    score: float
    threshold: float
    meaning: str


class Detector(ABC, Generic[C]):
    """One way of noticing that something is wrong.

    State: ``changed`` gives the named parts that changed since it was last called (None deletes a part), ``restore``
    takes all parts back. Parts are byte strings in the detector's own versioned format, never pickles; their total
    size is bounded whatever the stream. A restored detector continues bit-identically.
    No payload float may poison the state: only finite, clipped, typed values enter it.
    """

    kind: ClassVar[str]
    """The detector's name in the table, in configuration and in findings."""
    stream: ClassVar[Stream]
    needs_baseline: ClassVar[bool] = False
    """Whether it is built anew when the model's baseline is learned or replaced."""

    @abstractmethod
    def observe(self, chunk: C) -> list[Verdict]:
        """Take in a chunk; verdicts in order of ``index``."""

    @abstractmethod
    def arming(self) -> Arming:
        """Whether it can alarm."""

    @abstractmethod
    def scores(self) -> list[Score]:
        """The statistics as they stand, most alarming first; at most 50."""

    @abstractmethod
    def changed(self) -> dict[str, bytes | None]:
        """Parts of the state that changed since the last call."""

    @abstractmethod
    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Take the state back.

        Raises:
            StateError: the parts are of a format this version cannot read.
        """


class StateError(ValueError):
    """A detector's stored state is of a format this version cannot read; it starts anew and says so."""
