"""Blocks: where a stream is cut, by record count or event time, so that a replay cuts it at the same places."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_FORMAT = struct.Struct("<BQd")
_VERSION = 1

BLOCK_RECORDS = 64
"""Records per block. At 64 a block's table products cost less per record than decoding one field, and the delay that
waiting for a block adds (32 records on average) stays below the delay of any test at a useful false-alarm budget."""

BLOCK_SECONDS = 60.0
"""Event time after which a block closes although it is not full: a slow stream must not hold its alarm for hours."""


class BlockClock:
    """Says where blocks close in one stream.

    A block closes after its ``records``-th record, or *before* a record whose event time is ``seconds`` or more after
    the event time of the block's first record. Event time going backwards never closes a block.
    """

    def __init__(self, records: int = BLOCK_RECORDS, seconds: float = BLOCK_SECONDS) -> None:
        if records < 1 or not seconds > 0:
            raise ValueError(f"a block needs at least 1 record and more than 0 s; got {records} and {seconds}")
        self.records = records
        self.seconds = seconds
        self._open = 0
        self._began = 0.0

    def closes(self, times: Sequence[float]) -> list[int]:
        """Ends (exclusive) of the blocks that close within these records; 0 closes the block open before them."""
        ends: list[int] = []
        count, began = self._open, self._began
        records, seconds = self.records, self.seconds
        for index, time in enumerate(times):
            if count and time - began >= seconds:
                ends.append(index)
                count = 0
            if not count:
                began = time
            count += 1
            if count >= records:
                ends.append(index + 1)
                count = 0
        self._open, self._began = count, began
        return ends

    def dump(self) -> bytes:
        """The state, to be stored with the offset it is true for."""
        return _FORMAT.pack(_VERSION, self._open, self._began)

    def load(self, state: bytes) -> None:
        """Take the state back."""
        version, self._open, self._began = _FORMAT.unpack(state)
        if version != _VERSION:
            raise ValueError(f"block clock state of version {version}; this is version {_VERSION}")
