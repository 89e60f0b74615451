"""What an interactive user sees first: names that can be completed, and reprs."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import NamedTuple

import pytest

import guestdbg
from guestdbg.hexadecimal_repr import hexadecimal
from tests.cli.guests import EXAMPLES, GUESTDBG

QUEUE = EXAMPLES / "queue.elf"


def test_the_version_is_that_of_the_package() -> None:
    assert guestdbg.__version__ == importlib.metadata.version("guestdbg")


def test_every_exported_name_is_there_and_nothing_else_is_completed() -> None:
    names = {name for name in dir(guestdbg) if not name.startswith("_")}
    modules = {"arm64", "debugger", "errors", "gdb", "history", "kvm", "linux", "machine"}
    modules |= {"trace"}
    assert names == {*guestdbg.__all__, *modules} - {"__version__"}
    assert all(getattr(guestdbg, name) is not None for name in guestdbg.__all__)
    fresh = "import guestdbg; print('import_module' in dir(guestdbg), 'Any' in dir(guestdbg))"
    result = subprocess.run([sys.executable, "-c", fresh], capture_output=True, check=True)
    assert result.stdout.split() == [b"False", b"False"]


def test_points_complete_what_is_for_users() -> None:
    with guestdbg.load(QUEUE, provider="soft", console=None) as guest:
        points = [guest.watch("queue.tail"), guest.record("queue.head"), guest.break_("main")]
        for point in points:
            names = {name for name in dir(point) if not name.startswith("_")}
            assert {"hits", "seen", "when", "enabled", "delete", "handler"} <= names
            assert not {"put", "placed", "note_unavailable", "bits", "take", "room"} & names


def test_addresses_are_hexadecimal() -> None:
    with guestdbg.load(QUEUE, provider="soft", console=None) as guest:
        watch = guest.watch("queue.tail")
        stop = guest.run()
        assert stop.hit is not None
        frames = stop.hit.backtrace()
        watch.delete()
        recording = guest.record("queue.head", limit=1, registers=(0,))
        guest.run()
        shown = [
            repr(each)
            for each in (
                *(stop, stop.hit, frames, *recording, guest.symbol("queue")),
                *(guest.locate(stop.pc), guest.resolve("queue.tail"), *guest.diagnose(), watch),
                recording,
            )
        ]
        for text in shown:
            numbers = [int(n) for n in re.findall(r"(?<![\w.])\d+", text)]
            assert not [n for n in numbers if n >= 0x4000_0000], text
            assert "'0x" not in text


@hexadecimal("address", "many")
@dataclass(frozen=True, slots=True)
class Sample:
    address: int | None
    size: int
    many: tuple[int, ...] = ()


@hexadecimal("pc")
class Named(NamedTuple):
    pc: int
    flag: bool = True


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Sample(255, 255), "Sample(address=0xff, size=255, many=())"),
        (Sample(None, 1, (16,)), "Sample(address=None, size=1, many=(0x10,))"),
        (Sample(True, 1, (16, 17)), "Sample(address=True, size=1, many=(0x10, 0x11))"),
        (Named(10), "Named(pc=0xa, flag=True)"),
    ],
)
def test_fields_in_hexadecimal(value: object, shown: str) -> None:
    assert repr(value) == shown


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(AssertionError):
        hexadecimal("adress")(Sample)


def test_a_recording_has_named_columns() -> None:
    with guestdbg.load(QUEUE, provider="soft", console=None) as guest:
        recording = guest.record("queue.tail", access="any", registers=(3, 1), limit=40)
        assert len(recording.column("pc")) == 0
        guest.run()
        rows = list(recording)
        assert recording.columns[-2:] == ("x3", "x1")
        for name in ("pc", "address", "old", "instructions", "size", "number"):
            assert list(recording.column(name)) == [getattr(row, name) for row in rows], name
        written = recording.column("written")
        assert list(written) == [row.new is not None for row in rows]
        assert all(
            value == row.new
            for value, done, row in zip(recording.column("new"), written, rows, strict=True)
            if done
        )
        names = ("", "read", "write", "readwrite")
        assert [names[n] for n in recording.column("access")] == [row.access for row in rows]
        assert {row.access for row in rows} == {"read", "write"}
        assert list(recording.column("x1")) == [row.registers[1] for row in rows]
        with pytest.raises(guestdbg.GuestdbgError, match="no column 'x2'; the columns are pc"):
            recording.column("x2")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes(shell: str) -> None:
    """As docs/cli.md says."""
    result = subprocess.run(
        GUESTDBG,
        env=os.environ | {"_GUESTDBG_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "guestdbg_completion" in result.stdout
    words = {"COMP_WORDS": "guestdbg run --fol", "COMP_CWORD": "2"}
    if shell == "fish":
        words["COMP_CWORD"] = "--fol"
    result = subprocess.run(
        GUESTDBG,
        env=os.environ | {"_GUESTDBG_COMPLETE": f"{shell}_complete"} | words,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--follow-pointer" in result.stdout
