"""Durations as people write them: ``90d``, ``1h30m``, ``250ms``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:ms|s|m|h|d|w)\s*)+")


def parse_duration(value: Any) -> timedelta:
    """A duration from ``1h30m`` and the like.

    Raises:
        ValueError: it is not a duration; the message says what is.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return timedelta(seconds=sum(float(n) * UNIT_SECONDS[unit] for n, unit in _PART.findall(value)))
    raise ValueError(
        f"{value!r} is not a duration; write a number and a unit (ms, s, m, h, d, w), such as 90d or 1h30m"
    )


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
