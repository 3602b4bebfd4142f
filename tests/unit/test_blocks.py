"""Blocks close at the same places however the stream arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.blocks import BlockClock

times_of_a_stream = st.lists(st.floats(-1e6, 1e9, allow_nan=False), min_size=1, max_size=300)


def test_a_block_closes_after_its_last_record() -> None:
    """Count closes a block at the record that fills it."""
    assert BlockClock(records=3).closes([0.0] * 7) == [3, 6]


def test_a_block_closes_before_the_record_that_is_too_late() -> None:
    """Event time closes a block before the first record that no longer belongs to it."""
    assert BlockClock(records=100, seconds=60).closes([0.0, 59.9, 60.0, 61.0, 130.0]) == [2, 4]


def test_zero_closes_the_block_that_was_open_before() -> None:
    """A block left open by an earlier chunk may close before the first record of the next."""
    clock = BlockClock(records=100, seconds=60)
    assert clock.closes([0.0, 1.0]) == []
    assert clock.closes([99.0]) == [0]


def test_time_going_backwards_closes_nothing() -> None:
    """A late record stays in the open block."""
    assert BlockClock(records=100, seconds=60).closes([1000.0, 10.0, -500.0]) == []


@given(times=times_of_a_stream, cut=st.integers(0, 300), records=st.integers(1, 70), seconds=st.floats(0.1, 1e6))
def test_cuts_do_not_move_blocks(times: list[float], cut: int, records: int, seconds: float) -> None:
    """Any cut of the stream, with the state stored and restored at the cut, gives the same ends."""
    whole = BlockClock(records, seconds).closes(times)
    first, second = BlockClock(records, seconds), BlockClock(records, seconds)
    before = first.closes(times[:cut])
    second.load(first.dump())
    after = [end + len(times[:cut]) for end in second.closes(times[cut:])]
    assert before + after == whole


def test_impossible_sizes_are_refused() -> None:
    """A block of no records or no time cannot be made."""
    with pytest.raises(ValueError, match="at least 1 record"):
        BlockClock(records=0)
    with pytest.raises(ValueError, match="more than 0 s"):
        BlockClock(seconds=0)


def test_state_of_another_version_is_refused() -> None:
    """A state that a later version wrote is not misread."""
    state = bytearray(BlockClock().dump())
    state[0] = 9
    with pytest.raises(ValueError, match="version 9"):
        BlockClock().load(bytes(state))
