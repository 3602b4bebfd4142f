"""Every error this project raises on purpose.

The first line of a class's docstring says what happened; ``remedy`` says what to do about it. ``retryable``
separates "again" from "never".
"""

from __future__ import annotations

from typing import ClassVar


class VedetteError(Exception):
    """Something vedette refuses to do, or cannot do now."""

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1
    remedy: str = ""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        if remedy:
            self.remedy = remedy

    def __str__(self) -> str:
        """The message, and the remedy where there is one."""
        message = super().__str__()
        return f"{message}. {self.remedy}" if self.remedy else message


class Refused(VedetteError):  # noqa: N818 -- reads as the sentence it prints
    """The request is understood and not allowed in the present state."""


class NotFound(Refused):
    """Nothing has this name or number."""


class StaleVersion(Refused):
    """The case changed since it was read."""

    remedy = "Read it again (`vedette incident show`) and repeat with the new version"


class UsageError(VedetteError):
    """The command or the configuration is wrong."""

    exit_code = 2


class DependencyDown(VedetteError):  # noqa: N818
    """Something vedette needs does not answer; the same call may succeed later."""

    retryable = True
    exit_code = 3


class DatabaseDown(DependencyDown):
    """The database does not answer."""

    remedy = "Check that it runs and that `database.url` is right; `vedette doctor` tests it"


class SchemaMismatch(DependencyDown):
    """The database is at another migration than this version of vedette."""

    retryable = False
    remedy = "Run `vedette db upgrade`, or install the version of vedette that wrote it"
