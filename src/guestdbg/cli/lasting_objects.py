"""Objects that live as long as the process: the garbage collector has nothing to find in them."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

__all__ = ["lasting_objects"]


@contextlib.contextmanager
def lasting_objects() -> Iterator[None]:
    """What is imported and made in this context is not looked through, now or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
