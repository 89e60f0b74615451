"""From locations as people write them to addresses, and back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from guestdbg.debugger import (
    BadRange,
    InvalidLocation,
    MissingDependency,
    NoDebugInfo,
    NotInScope,
    UnknownLine,
    UnknownRegister,
    UnknownSymbol,
)

from .conftest import EXAMPLES, Load


def test_locations(start: Load) -> None:
    guest = start("counter")
    count = guest.symbol("count").address
    location = guest.locate(count + 4)
    assert location.symbolic == "count+0x4"
    assert location.source == "counter.c:25"
    assert str(location) == "count+0x4 (counter.c:25)"
    nowhere = guest.locate(0x10)
    assert (nowhere.function, nowhere.file, str(nowhere)) == (None, None, "0x10")


def test_locations_as_people_write_them(start: Load) -> None:
    guest = start("counter")
    table = guest.symbol("table").address
    for where, address, length in (
        ("table", table, 256),
        ("table+16", table + 16, 240),
        (" table + 0x10 ", table + 16, 240),
        (hex(table), table, None),
        (table, table, None),
        (f"*{table:#x}", table, None),
        (str(table), table, None),
    ):
        data = guest.resolve(where)
        assert (data.address, data.length) == (address, length), where
    assert guest.resolve("table", 3).length == 3
    with pytest.raises(BadRange, match="outside table"):
        guest.resolve("table+256")
    assert guest.resolve("table+256", 4).address == table + 256
    with pytest.raises(InvalidLocation, match="64 bits"):
        guest.resolve(1 << 64)
    with pytest.raises(InvalidLocation, match="64 bits"):
        guest.resolve("0x1" + 16 * "0")
    with pytest.raises(InvalidLocation):
        guest.resolve(-4)
    with pytest.raises(InvalidLocation, match="not a location"):
        guest.resolve(3.5)


def test_near_matches(start: Load) -> None:
    guest = start("queue")
    with pytest.raises(UnknownSymbol) as refused:
        guest.symbol("queue_pusch")
    assert "queue_push" in refused.value.matches
    with pytest.raises(UnknownLine, match=r"did you mean 'queue\.c'"):
        guest.break_("quueue.c:3")
    with pytest.raises(UnknownRegister, match="SCTLR_EL1"):
        guest.cpu.reg("sctlr_el")


def test_without_drgn_the_rest_works(start: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "drgn", None)
    guest = start("counter", at_main=True)
    with pytest.raises(MissingDependency, match="Linux only"):
        guest.watch("sizes.word")
    with pytest.raises(MissingDependency, match="drgn"):
        guest["counter"]
    guest.watch("counter")
    assert guest.run(timeout=60).reason == "hit"


def test_without_debug_info(tmp_path: Path, start: Load) -> None:
    strip = shutil.which("aarch64-linux-gnu-strip")
    if strip is None:
        pytest.skip("aarch64-linux-gnu-strip is not installed")
    path = tmp_path / "counter.elf"
    subprocess.run([strip, "-g", "-o", path, EXAMPLES / "counter.elf"], check=True)
    from guestdbg.debugger import load

    with load(path, provider="soft", console=None, memory="16M") as guest:
        with pytest.raises(NoDebugInfo, match="-g"):
            guest.break_("counter.c:25")
        with pytest.raises(NoDebugInfo, match="DWARF"):
            guest.watch("sizes.word")
        with pytest.raises(NoDebugInfo):
            guest.step_line()
        guest.run(until="main", timeout=60)
        guest.watch("counter")
        stop = guest.run(timeout=60)
        assert stop.hit is not None
        # Prologue analysis finds the callers.
        names = [frame.location.function for frame in stop.hit.backtrace()]
        assert names == ["count", "inner", "middle", "outer", "main", "_start"]
    subprocess.run([strip, "-s", path], check=True)
    with load(path, provider="soft", console=None, memory="16M") as guest:
        with pytest.raises(UnknownSymbol, match="no image with symbols"):
            guest.watch("counter")
        guest.watch(0x4020_0000, 8, access="read")


def test_a_function_of_a_file(start: Load) -> None:
    guest = start("queue")
    push = guest.symbol("queue_push").address
    for where, offset in (("queue.c:queue_push", 0), ("queue/queue.c:queue_push+8", 8)):
        assert guest.break_(where).addresses == (push + offset,)
    with pytest.raises(UnknownSymbol, match=r"'queue_push in main.c'.*queue.c:queue_push"):
        guest.break_("main.c:queue_push")
    with pytest.raises(UnknownSymbol, match="'nothing'"):
        guest.break_("queue.c:nothing")


@pytest.mark.parametrize("where", ["ticks", "ticks+4", "job->id"])
def test_a_local_variable_is_called_one(start: Load, where: str) -> None:
    guest = start("queue")
    with pytest.raises(NotInScope, match="is a parameter or local variable of a function"):
        guest.watch(where)
