"""Rates as people write them: ``50/s``, ``100/h``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

from incidents.duration import UNIT_SECONDS


def parse_rate(value: Any) -> float:
    """Events per second from ``50/s``, ``3000/m``, ``100/h`` or ``5/d``.

    Raises:
        ValueError: it is not a rate; the message says what is.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*/\s*(s|m|h|d)\s*", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a rate; write a number per unit of time, such as 50/s or 100/h")
    return float(match[1]) / UNIT_SECONDS[match[2]]


Rate = Annotated[float, BeforeValidator(parse_rate)]
