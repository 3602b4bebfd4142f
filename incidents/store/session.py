"""The database, opened once: engine settings that make SQLite and PostgreSQL behave alike, and the unit of work."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from incidents.errors import DatabaseDown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Engine

SQLITE_BUSY_MS = 10_000
"""How long a SQLite writer waits for the lock. Commits take milliseconds; ten seconds rides out a backup."""

POSTGRES_STATEMENT_TIMEOUT_MS = 30_000


def open_engine(url: str) -> Engine:
    """Open the database at a SQLAlchemy URL; nothing connects before the first use.

    SQLite: WAL, ``synchronous=FULL`` (a committed incident survives power loss), foreign keys on and every
    transaction ``BEGIN IMMEDIATE``, so that two writers queue at the start instead of failing at the end.
    PostgreSQL: psycopg 3, stale connections tested before use, statements time out.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": SQLITE_BUSY_MS / 1000, "check_same_thread": False})
        _make_sqlite_transactional(engine)
        return engine
    return create_engine(
        parsed,
        pool_pre_ping=True,
        pool_size=5,
        max_overflow=5,
        pool_timeout=10,
        connect_args={
            "connect_timeout": 5,
            "application_name": "vedette",
            "options": f"-c statement_timeout={POSTGRES_STATEMENT_TIMEOUT_MS}",
        },
    )


def _make_sqlite_transactional(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The driver's own transaction control starts transactions late; ours starts them in "begin" below.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


class Store:
    """The relational store: the one way to get a session."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sessions = sessionmaker(engine, expire_on_commit=False)

    @classmethod
    def open(cls, url: str) -> Store:
        """Open the store at a SQLAlchemy URL."""
        return cls(open_engine(url))

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One unit of work: commits at the end, rolls back on any error.

        Raises:
            DatabaseDown: the database could not be reached, is locked, or went away in the middle. Nothing was
                committed unless the connection was lost during COMMIT itself, which callers must treat as unknown.
        """
        try:
            with self._sessions.begin() as session:
                yield session
        except (OperationalError, PoolTimeout) as error:
            raise DatabaseDown(f"the database does not answer: {_first_line(error)}") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise DatabaseDown(f"the database connection was lost: {_first_line(error)}") from error
            raise

    def ping(self) -> None:
        """Raise :class:`DatabaseDown` unless the database answers."""
        with self.transaction() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
