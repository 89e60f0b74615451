"""The binary file of a trace of instructions, and what it is turned into."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.cli.group import Commands
from guestdbg.cli.trace import trace
from guestdbg.trace.tracing import TracingError
from guestdbg.trace.tracing.instructions import (
    Access,
    Record,
    RecordFile,
    convert,
    header,
    parse,
)

_PLACES = ("synchronous", "IRQ", "FIQ", "SError")
_BITS = {"instruction": 1, "emulated": 3, "fault": 0, "exception": 4, "outside": 8}
_u64 = st.integers(0, (1 << 64) - 1)


def packed(record: Record) -> bytes:
    """A record as it is in the file: see docs/instruction-trace.md."""
    body = b""
    for number, value in record.registers:
        body += bytes([number]) + value.to_bytes(16 if number >= 64 else 8, "little")
    for each in record.accesses:
        flag = 128 if each.write else 0
        if each.size <= 16:
            body += struct.pack("<BQ", each.size | flag, each.address)
            body += each.value.to_bytes(each.size, "little")
        else:
            body += struct.pack("<BQH", flag, each.address, each.size)
    place = 0
    if record.exception is not None:
        place = _PLACES.index(record.exception)
        body += struct.pack("<Q", record.vector)
    counts = len(record.registers), len(record.accesses)
    return (
        struct.pack("<HBBBBBB", 28 + len(body), _BITS[record.kind], record.vcpu, record.el,
                    *counts, place)
        + struct.pack("<IQQ", record.raw, record.time, record.pc)
        + body
    )  # fmt: skip


@st.composite
def accesses(draw: st.DrawFn) -> Access:
    size = draw(st.integers(1, 16) | st.sampled_from([64, 2048]))
    value = 0 if size > 16 else draw(st.integers(0, (1 << 8 * size) - 1))
    return Access(draw(_u64), size, size > 16 or draw(st.booleans()), value)


@st.composite
def records(draw: st.DrawFn) -> Record:
    kind = draw(st.sampled_from([*_BITS]))
    common = (draw(_u64), draw(st.integers(0, 63)), draw(st.integers(0, 1)), draw(_u64))
    raw = draw(st.integers(0, (1 << 32) - 1))
    if kind == "exception":
        place = draw(st.sampled_from(_PLACES))
        return Record(kind, *common, raw, (), (), place, draw(_u64))
    registers, made = {}, []
    if kind != "fault":
        narrow = st.dictionaries(st.integers(0, 31), _u64, max_size=4)
        status = st.dictionaries(st.sampled_from([32, 33]), st.integers(0, (1 << 32) - 1))
        wide = st.dictionaries(st.integers(64, 95), st.integers(0, (1 << 128) - 1), max_size=3)
        registers = draw(narrow) | draw(status) | draw(wide)
    if kind in ("instruction", "emulated"):
        made = draw(st.lists(accesses(), max_size=5))
    return Record(kind, *common, raw, tuple(registers.items()), tuple(made), None, 0)


@given(st.lists(records(), max_size=6), st.data())
def test_a_file_cut_anywhere_is_read_up_to_there(made: list[Record], data: st.DataObject) -> None:
    pieces = [packed(record) for record in made]
    whole = header("a guest\n", 2) + b"".join(pieces)
    start = len(header("a guest\n", 2))
    end = data.draw(st.integers(start, len(whole)))
    found = RecordFile(io.BytesIO(whole[:end]))
    assert (found.guest, found.vcpus) == ("a guest\n", 2)
    expected, offset = [], start
    for record, piece in zip(made, pieces, strict=True):
        if offset + len(piece) > end:
            break
        expected.append(record)
        offset += len(piece)
    assert list(found) == expected
    assert found.cut == (offset != end)


@given(st.binary(max_size=200))
def test_damaged_records_are_an_error_and_no_crash(data: bytes) -> None:
    with contextlib.suppress(TracingError):
        found, offset = parse(data)
        assert offset <= len(data)
        assert len(found) * 28 <= offset


# ---- Tarmac -----------------------------------------------------------------------------------
# The grammar that `tarmac-trace-utilities` parses (lib/parser.cpp), written down again.

_LINE = re.compile(
    r"(?P<time>\d+) clk cpu(?P<cpu>\d+) (?:"
    r"IT \((?P<index>\d+)\) (?P<pc>[0-9a-f]+) (?P<raw>[0-9a-f]{8}) "
    r"O (?P<mode>\w+) : (?P<text>[\w.].*)|"
    r"R (?P<register>[Xx]\d+|SP|cpsr|FPSR|V\d+) (?P<contents>[0-9a-f_]+)|"
    r"M(?P<access>[RW])(?P<size>[1248]) (?P<address>[0-9a-f]+) (?P<value>[0-9a-f_]+)|"
    r"E (?P<vector>[0-9a-f]+) (?P<number>[0-9a-f]+) CoreEvent_(?P<event>\w+))"
)
#: Bytes of registers (registers.hh): the parser refuses contents of another length.
_WIDTHS = {"X": 8, "SP": 8, "V": 16, "cpsr": 4, "FPSR": 4}


def read_tarmac(text: str) -> list[dict[str, str]]:
    found = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        assert match is not None, line
        found.append({key: value for key, value in match.groupdict().items() if value is not None})
    return found


def as_tarmac(made: list[Record]) -> str:
    return converted(made, ".tarmac").decode()


def converted(made: list[Record], ending: str) -> bytes:
    import tempfile

    source = io.BytesIO(header("guest", 64) + b"".join(map(packed, made)))
    with tempfile.TemporaryFile(buffering=0) as file:
        assert convert(RecordFile(source), file, ending) == len(made)
        file.seek(0)
        return file.read()


def of_tarmac(line: dict[str, str]) -> tuple[str, int]:
    kind = line["register"].rstrip("0123456789")
    digits = line["contents"].replace("_", "")
    assert len(digits) == 2 * _WIDTHS[kind], line
    return line["register"], int(digits, 16)


def tarmac_name(number: int) -> str:
    special = {31: "SP", 32: "cpsr", 33: "FPSR"}
    return special.get(number) or (f"V{number - 64}" if number >= 64 else f"X{number}")


@given(st.lists(records(), max_size=5))
def test_tarmac_says_what_the_records_say(made: list[Record]) -> None:
    lines = iter(read_tarmac(as_tarmac(made)))
    for record in made:
        if record.kind == "fault":
            continue
        start = {"time": str(record.time), "cpu": str(record.vcpu)}
        if record.kind == "exception":
            line = next(lines)
            assert start.items() <= line.items()
            assert int(line["vector"], 16) == record.vector
            continue
        if record.kind != "outside":
            line = next(lines)
            assert start.items() <= line.items()
            assert (int(line["pc"], 16), int(line["raw"], 16)) == (record.pc, record.raw)
            assert line["mode"] == ("EL1h_n" if record.el else "EL0t_n")
        for number, value in record.registers:
            assert of_tarmac(next(lines)) == (tarmac_name(number), value)
        for access in record.accesses:
            check_access(access, lines)
    assert next(lines, None) is None


def check_access(access: Access, lines: object) -> None:
    data = b""
    while len(data) < access.size:
        line = next(lines)  # type: ignore[call-overload]
        assert line["access"] == ("W" if access.write else "R")
        assert int(line["address"], 16) == (access.address + len(data)) % (1 << 64)
        digits = line["value"].replace("_", "")
        assert len(digits) == 2 * int(line["size"])
        data += int(digits, 16).to_bytes(int(line["size"]), "little")
    assert data == access.value.to_bytes(access.size, "little")


EXAMPLE = [
    Record("instruction", 1, 0, 1, 0x40080000, 0xA9BF7BFD, ((31, 0x40100FF0),),
           (Access(0x40100FF0, 16, True, 0x2 << 64 | 0x1),), None, 0),
    Record("fault", 1, 0, 0, 0x1000, 0xF9400001, (), (), None, 0),
    Record("exception", 1, 0, 0, 0x1000, 0x92000005, (), (), "synchronous", 0x40081400),
]  # fmt: skip


def test_tarmac_of_an_example() -> None:
    assert as_tarmac(EXAMPLE) == (
        "1 clk cpu0 IT (1) 0000000040080000 a9bf7bfd O EL1h_n : stp x29, x30, [sp, #-0x10]!\n"
        "1 clk cpu0 R SP 0000000040100ff0\n"
        "1 clk cpu0 MW8 0000000040100ff0 00000000_00000001\n"
        "1 clk cpu0 MW8 0000000040100ff8 00000000_00000002\n"
        "1 clk cpu0 E 0000000040081400 00000400 CoreEvent_LOWER_64_SYNC\n"
    )


# ---- JSON, tables, the command ----------------------------------------------------------------


def test_lines_of_json() -> None:
    head, first, fault, taken = map(json.loads, converted(EXAMPLE, ".jsonl").splitlines())
    assert head == {
        "form": "guestdbg instructions", "version": 1, "guest": "guest", "vcpus": 64,
    }  # fmt: skip
    assert first["registers"] == {"sp": "0x40100ff0"}
    assert first["accesses"] == [
        {"access": "write", "address": "0x40100ff0", "size": 16, "value": f"{2 << 64 | 1:#x}"}
    ]
    assert (fault["kind"], fault["pc"]) == ("fault", "0x1000")
    assert (taken["exception"], taken["esr"]) == ("synchronous", "0x92000005")


def test_rows() -> None:
    rows = list(csv.DictReader(io.StringIO(converted(EXAMPLE, ".csv").decode())))
    assert [row["what"] for row in rows] == ["register", "write", "", "vector"]
    assert (rows[1]["value"], rows[1]["high"], rows[1]["size"]) == ("1", "2", "16")


def test_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "trace.parquet"
    path.write_bytes(converted(EXAMPLE, ".parquet"))
    rows = parquet.read_table(path).to_pylist()
    assert [row["what"] for row in rows] == ["register", "write", None, "vector"]
    assert rows[3]["address"] == 0x40081400


def test_the_command(tmp_path: Path) -> None:
    assert "trace" in Commands.modules
    source, out = tmp_path / "a.gdtrace", tmp_path / "a.tarmac"
    source.write_bytes(header("guest", 1) + b"".join(map(packed, EXAMPLE)) + b"\x30")
    run = CliRunner().invoke(trace, [str(source), "-o", str(out)])
    assert run.exit_code == 0, run.output
    assert "3 records" in run.output
    assert "middle of a record" in run.output
    assert out.read_text() == as_tarmac(EXAMPLE)
    again = CliRunner().invoke(trace, [str(source), "-o", str(out)])
    assert "the file exists" in str(again.exception)
    wrong = CliRunner().invoke(trace, [str(source), "-o", str(tmp_path / "a.txt")])
    assert ".tarmac" in str(wrong.exception)
    other = CliRunner().invoke(trace, [str(out), "-o", str(tmp_path / "b.csv")])
    assert "not a trace of instructions" in str(other.exception)
    assert not (tmp_path / "b.csv").exists()


@pytest.mark.parametrize("ending", [".tarmac", ".jsonl", ".csv"])
def test_a_full_disk(ending: str) -> None:
    source = io.BytesIO(header("guest", 1) + b"".join(map(packed, EXAMPLE)))
    with open("/dev/full", "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        convert(RecordFile(source), file, ending)


def test_other_versions_are_refused() -> None:
    with pytest.raises(TracingError, match="version 2"):
        RecordFile(io.BytesIO(b"guestdbg instructions 2\n{}\n"))
    with pytest.raises(TracingError, match="second line"):
        RecordFile(io.BytesIO(b"guestdbg instructions 1\n[]\n"))
