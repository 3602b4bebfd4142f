"""Positions and states are fenced by owner epoch, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from incidents.store import migrate
from incidents.store.session import Store
from monitor import checkpoints
from monitor.checkpoints import Fenced
from monitor.sources.base import Position

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A store at the newest migration."""
    store = Store.open(store_url)
    migrate.upgrade(store)
    yield store
    store.close()


def claim(store: Store, owner: str) -> checkpoints.Restored:
    """Claim the one partition of these tests."""
    with store.transaction() as session:
        return checkpoints.claim(session, "ingest", "spool", owner, NOW)


def commit(store: Store, held: checkpoints.Claim, offset: int, parts: dict[str, bytes | None]) -> None:
    """Commit a position and parts."""
    with store.transaction() as session:
        checkpoints.commit(session, held, Position(offset, "token"), parts, NOW)


def test_a_partition_never_seen_has_no_position(store: Store) -> None:
    """The source then begins where its own settings say."""
    restored = claim(store, "a")
    assert restored.position is None
    assert restored.parts == {}
    assert restored.claim.epoch == 1


def test_position_and_parts_come_back_as_committed(store: Store) -> None:
    """Parts not mentioned stay, changed ones change, None deletes."""
    held = claim(store, "a").claim
    commit(store, held, 10, {"one": b"1", "two": b"2", "three": b"3"})
    commit(store, held, 20, {"two": b"22", "three": None})
    restored = claim(store, "a")
    assert restored.position == Position(20, "token")
    assert restored.parts == {"one": b"1", "two": b"22"}


def test_a_former_owner_cannot_write(store: Store) -> None:
    """Its commit fails whole: neither the position nor the parts move."""
    former = claim(store, "a").claim
    commit(store, former, 10, {"one": b"1"})
    present = claim(store, "b").claim
    with pytest.raises(Fenced):
        commit(store, former, 99, {"one": b"stale", "new": b"stale"})
    restored = claim(store, "c")
    assert restored.position == Position(10, "token")
    assert restored.parts == {"one": b"1"}
    assert present.epoch == former.epoch + 1


def test_claiming_again_is_a_new_epoch_even_for_the_same_owner(store: Store) -> None:
    """A process that claims twice (revoked and assigned again) must not honour its older claim."""
    first = claim(store, "a").claim
    claim(store, "a")
    with pytest.raises(Fenced):
        commit(store, first, 1, {})


def test_reload_gives_what_was_committed_and_keeps_the_epoch(store: Store) -> None:
    """After a database error memory is void, but the partition is still ours."""
    held = claim(store, "a").claim
    commit(store, held, 10, {"one": b"1"})
    with store.transaction() as session:
        restored = checkpoints.reload(session, held)
    assert (restored.claim, restored.position, restored.parts) == (held, Position(10, "token"), {"one": b"1"})
    claim(store, "b")
    with store.transaction() as session, pytest.raises(Fenced):
        checkpoints.reload(session, held)


def test_many_parts_are_deleted_at_once(store: Store) -> None:
    """More keys than a statement may have parameters."""
    held = claim(store, "a").claim
    keys = [f"part-{number}" for number in range(1500)]
    commit(store, held, 1, dict.fromkeys(keys, b"x"))
    commit(store, held, 2, dict.fromkeys(keys))
    assert claim(store, "a").parts == {}
