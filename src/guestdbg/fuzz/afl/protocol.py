"""What AFL++ and its target say to each other: descriptors, environment, and words of 32 bits.

The protocol is that of AFL++ 4.00 to 4.1x, which later versions speak too (docs/instrumentation and
include/types.h of its sources). All words are in the host's byte order.

The target writes HELLO to STATUS: what it can do. If that includes test cases in shared memory,
AFL++ confirms it with a word on CONTROL. Then, for each input: AFL++ writes to CONTROL whether it
has killed the process of the input before; the target writes the id of the process that has the
input to STATUS, and, when it is done, a status as of waitpid().
"""

from __future__ import annotations

import struct

__all__ = [
    "CONTROL",
    "DEFAULT_MAP",
    "LARGEST_MAP",
    "MAP_SIZE_VARIABLE",
    "MAP_VARIABLE",
    "STATUS",
    "TEST_CASE_VARIABLE",
    "WORD",
    "hello",
]

#: The file descriptors: requests of AFL++, and answers of the target.
CONTROL = 198
STATUS = 199

#: Environment variables: the System V shared memory of the map, and of the input; the size of the
#: map, if the user has set it.
MAP_VARIABLE = "__AFL_SHM_ID"
TEST_CASE_VARIABLE = "__AFL_SHM_FUZZ_ID"
MAP_SIZE_VARIABLE = "AFL_MAP_SIZE"

WORD = struct.Struct("=I")

_ENABLED = 0x80000001
_MAP_SIZE = 0x40000000
_SHARED_TEST_CASES = 0x01000000
#: Bits 1 to 23 have the size of the map less 1.
LARGEST_MAP = 1 << 23
#: Bytes, if the user has said nothing.
DEFAULT_MAP = 1 << 16


def hello(map_size: int, *, shared_test_cases: bool) -> bytes:
    """The first word."""
    word = _ENABLED | _MAP_SIZE | (map_size - 1) << 1
    return WORD.pack(word | _SHARED_TEST_CASES if shared_test_cases else word)
