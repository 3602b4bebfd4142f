"""What every decoder gives: any bytes whatsoever become records, fragments of records, or an InvalidRecord."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.records import Decoded
    from monitor.sources.base import Batch, Headers

MAX_RECORD_BYTES = 8 * 1024 * 1024
"""Larger raw records are dead letters: one of them would hold the interpreter for longer than a poll."""


class DecodedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch said: ``items[i]`` came from raw record ``origins[i]`` (an index into the batch), in order."""

    items: Sequence[Decoded]
    origins: Sequence[int]


class Decoder(ABC):
    """One wire format.

    A decoder is stateless and pure: the same bytes give the same records. It never raises, whatever the bytes;
    one raw record may give several records (batch rows), or none (a line that carries nothing, such as a comment).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    """For people: "KServe inference logger (CloudEvents)"."""

    @abstractmethod
    def decode(self, value: bytes, headers: Headers = ()) -> Sequence[Decoded]:
        """Decode one raw record."""

    @abstractmethod
    def looks_like(self, value: bytes, headers: Headers = ()) -> bool:
        """Whether one raw record looks like this format; used on the first lines only."""

    def decode_batch(self, batch: Batch) -> DecodedBatch:
        """Decode a whole batch. Overridden where a joined decode is faster; the answer must be the same."""
        items: list[Decoded] = []
        origins: list[int] = []
        for index, value in enumerate(batch.values):
            headers = batch.headers[index] if batch.headers is not None else ()
            decoded = self.decode(value, headers)
            items.extend(decoded)
            origins.extend([index] * len(decoded))
        return DecodedBatch(items=items, origins=origins)
