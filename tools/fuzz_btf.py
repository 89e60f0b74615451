"""Damaged BTF, as a hostile kernel may have it, through everything that reads it.

A case is a table of types of every kind, with some of its words changed, or cut off, in the middle
of an image. Permitted are success, and BadBtf or another error of guestdbg; everything else is a
failure: another exception, a crash of drgn, more time or memory than the limits.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from fuzz_case import Failure
from fuzz_limits import limited
from fuzz_shrink import shrunk

from guestdbg.errors import GuestdbgError
from guestdbg.linux.btf import Btf, DrgnTypes, find_btf
from guestdbg.linux.btf.records import Kind
from guestdbg.linux.state.layouts import Layouts

# drgn's threads would spend their time waiting for each other. Read when drgn is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SECONDS, MEMORY = 4.0, 300 << 20
if "libasan" in os.environ.get("LD_PRELOAD", ""):
    SECONDS, MEMORY = 60.0, 2 << 30
_NAMES = ("task_struct", "list", "device", "comm", "pid", "RUNNING", "int", "state", "")
_MOST_TYPES = 60


def _types(rng: random.Random) -> Any:
    """A table of types, most of which make sense."""
    write: Any = import_module("tests.linux.btf_writer")
    table = write.Writer()
    table.int("int", 4, write.SIGNED)
    table.struct("task_struct", 64, [("pid", 1, 0), ("list", 4, 64), ("comm", 3, 128)])
    table.array(1, 4)
    table.struct("list", 16, [("next", 5, 0), ("pprev", 5, 64)])
    table.add(write.PTR, "", 4)
    for _ in range(rng.randrange(_MOST_TYPES)):
        target, name = rng.randrange(1, table.next + 2), rng.choice(_NAMES)
        kind = rng.randrange(1, 20)
        if kind in (write.STRUCT, write.UNION):
            members = [
                (rng.choice(_NAMES), rng.randrange(table.next + 1), 8 * rng.randrange(40))
                for _ in range(rng.randrange(6))
            ]
            table.struct(name, 40, members, kind, rng.choice((0, 0, 1)))
        elif kind == write.INT:
            table.int(name, rng.choice((1, 2, 4, 8, 16)), rng.randrange(8))
        elif kind == write.ARRAY:
            table.array(target, rng.choice((0, 1, 3, 1 << 31)))
        elif kind == write.ENUM:
            table.enum(name, {"RUNNING": 1, "state": -1}, rng.choice((0, 1)))
        elif kind == write.ENUM64:
            table.enum64(name, {"RUNNING": 1 << 40, "state": -1}, rng.choice((0, 1)))
        elif kind == write.FUNC_PROTO:
            table.prototype(target, [(name, target), ("", 0)][: rng.randrange(3)])
        elif kind == write.DATASEC:
            table.section(".data..percpu", [(target, 8 * n, 8) for n in range(rng.randrange(3))])
        elif kind in (write.VAR, write.DECL_TAG):
            table.add(kind, name, target, rng.randrange(3).to_bytes(4, "little"))
        elif kind == write.FLOAT:
            table.add(kind, name, rng.choice((2, 4, 8, 16)))
        else:
            table.add(kind, name, target)
    return table


def _changes(rng: random.Random, size: int) -> list[tuple[int, bytes]]:
    """What is written over the table, and where."""
    found = []
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8, 30))):
        width = rng.choice((1, 2, 4))
        value = rng.choice((rng.randrange(80), rng.getrandbits(8 * width), (1 << 8 * width) - 1))
        at = rng.randrange(size)
        found.append((at - at % width, (value % (1 << 8 * width)).to_bytes(width, "little")))
    return found


def plan(seed: int) -> tuple[bytes, list[tuple[int, bytes]], int | None]:
    """The table of a case, the changes to it, and where it is cut off."""
    rng = random.Random(f"btf/{seed}")
    table = bytes(_types(rng).finish())
    changes = _changes(rng, len(table))
    return table, changes, rng.randrange(len(table)) if rng.random() < 0.1 else None


def play(seed: int, chosen: Sequence[int] | None = None) -> Counter[str]:
    """Read the table of a case, with some of its changes; returns what was done how often."""
    table, changes, cut = plan(seed)
    data = bytearray(table)
    for number, (at, value) in enumerate(changes):
        if chosen is None or number in chosen:
            data[at : at + len(value)] = value
    did: Counter[str] = Counter()
    with limited(SECONDS, MEMORY):
        _use(bytes(data[:cut]), did)
    return did


def _use(data: bytes, did: Counter[str]) -> None:
    image = bytes(64) + data + bytes(64)
    with _permitted("search", did):
        find_btf(image)
    with _permitted("parse", did):
        btf = Btf(data)
        _names(btf, did)
        _layouts(btf, did)
        _drgn(btf, did)


@contextlib.contextmanager
def _permitted(what: str, did: Counter[str], *others: type[Exception]) -> Iterator[None]:
    permitted: tuple[type[Exception], ...] = (GuestdbgError, *others)
    try:
        yield
    except permitted:
        did[f"btf {what}: refused"] += 1
    except Exception as error:
        raise Failure(f"{what}: {type(error).__name__}: {error}") from error
    else:
        did[f"btf {what}: done"] += 1


def _names(btf: Btf, did: Counter[str]) -> None:
    for name in _NAMES:
        with _permitted("find", did):
            btf.find(name, tuple(Kind))
            btf.enumerator(name)
    with _permitted("section", did):
        btf.section(".data..percpu")


def _layouts(btf: Btf, did: Counter[str]) -> None:
    layouts = Layouts(btf)
    for name in _NAMES:
        with _permitted("layout", did):
            found = layouts.struct(name)
            for path in ("pid", "comm", "list.next", "device.state.pid"):
                if found.has(path):
                    field = found.field(path)
                    layouts.size(field.target)
        with _permitted("constants", did):
            layouts.constants(name)


def _drgn(btf: Btf, did: Counter[str]) -> None:
    try:
        import drgn
    except ImportError:
        return
    flags = drgn.PlatformFlags.IS_64_BIT | drgn.PlatformFlags.IS_LITTLE_ENDIAN
    program = drgn.Program(drgn.Platform(drgn.Architecture.AARCH64, flags))
    types = DrgnTypes(program, btf)
    for number in btf.ids:
        # drgn has no such type, or C cannot write it down.
        with _permitted("type", did, ValueError, TypeError, OverflowError):
            str(types.type(number))


def failure(seed: int, chosen: Sequence[int] | None = None) -> Exception | None:
    """How the case fails, with some of its changes."""
    try:
        play(seed, chosen)
    except Exception as error:
        return error
    return None


def run(seed: int, did: Counter[str]) -> int:
    """One case; returns the number of changes. Raises Failure with the smallest failure."""
    _, changes, cut = plan(seed)
    try:
        did.update(play(seed))
    except Exception as first:
        small = list(range(len(changes)))
        if failure(seed, []) is not None:
            small = []
        else:
            small = shrunk(small, lambda some: failure(seed, some) is not None)
        cause = failure(seed, small) or first
        raise Failure(f"{cause} (changes {[changes[n] for n in small]}, cut at {cut})") from cause
    return len(changes)
