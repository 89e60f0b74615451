"""Compressing, and expanding to a size that is known before.

With zstd where it is installed (Python 3.14 has it), otherwise with zlib. A file says which.
"""

from __future__ import annotations

import importlib
import sys
import zlib
from typing import Any, Final

__all__ = ["PLAIN", "ZLIB", "ZSTD", "best_method", "compress", "expand_to"]

#: How a section is stored.
PLAIN: Final = 0
ZLIB: Final = 1
ZSTD: Final = 2

#: Fast levels: memory of guests compresses well at any level.
_ZLIB_LEVEL: Final = 1
_ZSTD_LEVEL: Final = 3


def _zstd() -> Any:
    """Python's module for zstd; None where there is none."""
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def best_method() -> int:
    """How sections are compressed on this host."""
    return ZLIB if _zstd() is None else ZSTD


def compress(data: bytes, method: int) -> tuple[int, bytes]:
    """(method, bytes) of what is stored; PLAIN if that is not larger."""
    if method == ZSTD:
        packed: bytes = _zstd().compress(data, level=_ZSTD_LEVEL)
    else:
        packed = zlib.compress(data, _ZLIB_LEVEL)
    return (method, packed) if len(packed) < len(data) else (PLAIN, data)


def expand_to(stored: bytes, method: int, size: int) -> bytes:
    """What ``compress`` was given. Never makes more than ``size`` bytes and one.

    Raises:
        ValueError: it is damaged, has another size, or this host cannot expand it.
    """
    if method == PLAIN:
        data = stored
    elif method == ZLIB:
        reader = zlib.decompressobj()
        try:
            data = reader.decompress(stored, size + 1)
        except zlib.error as error:
            raise ValueError(f"zlib: {error}") from error
    elif method == ZSTD:
        data = _expand_zstd(stored, size)
    else:
        raise ValueError(f"it is compressed by method {method}, which is not known")
    if len(data) != size:
        raise ValueError(f"it expands to other than {size} bytes")
    return data


def _expand_zstd(stored: bytes, size: int) -> bytes:
    zstd = _zstd()
    if zstd is None:
        raise ValueError("it is compressed with zstd: install backports.zstd to read it")
    try:
        data: bytes = zstd.ZstdDecompressor().decompress(stored, size + 1)
    except zstd.ZstdError as error:
        raise ValueError(f"zstd: {error}") from error
    return data
