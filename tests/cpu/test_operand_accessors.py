"""Functions that execute an instruction read its operands through cpu/operands.pxd only.

Where operands come from is then decided in one file: the same functions can be compiled once more
with operands that are constants. A direct read (`i.rd`) would compile and work, so this test reads
the sources.

The signature says which functions execute: whole or in part, they take `const Insn*`. A decoder,
which fills the fields, takes or makes a plain `Insn*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src" / "guestdbg" / "cpu"
ACCESSORS = SOURCES / "operands.pxd"
MACROS = SOURCES / "operands.h"

OPERANDS = ("rd", "rn", "rm", "ra", "imm", "aux", "raw", "mispredicts")
#: The instruction's place in its block: read by helpers of core.pxd (pc_of, leave, …) and core.pyx.
PLACE = ("idx", "len")

FUNCTION = re.compile(
    r"^cdef [^\n(=]*?(?P<name>\w+)\((?P<parameters>[^)]*)\)[^\n:]*:(?P<body>.*\n(?:(?: .*)?\n)*)",
    re.MULTILINE,
)
EXECUTES = re.compile(r"\bconst Insn ?\*")
CAST = re.compile(r"<Insn ?\*>")


@dataclass(frozen=True)
class Violation:
    function: str
    text: str


def code_of(source: str) -> str:
    """The source without docstrings and comments."""
    source = re.sub(r'""".*?"""', "", source, flags=re.DOTALL)
    return re.sub(r"#.*", "", source)


def functions(source: str) -> Iterator[tuple[str, str, str]]:
    """(name, parameters, body) of every function that the source defines."""
    for found in FUNCTION.finditer(code_of(source)):
        yield found["name"], found["parameters"], found["body"]


def violations(source: str, fields: tuple[str, ...] = OPERANDS + PLACE) -> list[Violation]:
    """What functions with a `const Insn*` read directly, or reach by casting the const away."""
    read = re.compile(r"[\w\])]\s*\.(?:" + "|".join(fields) + r")\b")
    return [
        Violation(name, line.strip())
        for name, parameters, body in functions(source)
        if EXECUTES.search(parameters)
        for line in body.splitlines()
        if read.search(line) or CAST.search(line)
    ]


def _sources() -> list[Path]:
    found = sorted([*SOURCES.rglob("*.pyx"), *SOURCES.rglob("*.pxd")])
    return [path for path in found if path != ACCESSORS]


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(SOURCES)))
def test_operands_are_read_through_accessors(path: Path) -> None:
    fields = OPERANDS if path.stem == "core" else OPERANDS + PLACE
    assert violations(path.read_text(encoding="utf-8"), fields) == []


def test_every_field_is_covered() -> None:
    """A field that Insn gets later must be put into one of the two lists above."""
    core = code_of((SOURCES / "core.pxd").read_text(encoding="utf-8"))
    struct = re.search(r"^cdef struct Insn:\n((?: +.*\n)+)", core, re.MULTILINE)
    assert struct
    fields = re.findall(r"^ +\w+ (\w+) *$", struct[1], re.MULTILINE)
    assert sorted(fields) == sorted(["f", *OPERANDS, *PLACE])


def test_every_operand_has_an_accessor() -> None:
    accessors = code_of(ACCESSORS.read_text(encoding="utf-8"))
    macros = MACROS.read_text(encoding="utf-8")
    for field in OPERANDS:
        macro = re.search(rf"^#define (\w+)\(i\) \(\(i\)->{field}\)$", macros, re.MULTILINE)
        function = re.search(rf"return (?:<[^>]*>)?\w+\.{field}$", accessors, re.MULTILINE)
        assert function or (macro and f'"{macro[1]}"(const Insn* i)' in accessors), field


@pytest.mark.parametrize("host", ["x86_64"])
def test_a_stencil_has_every_accessor(host: str) -> None:
    """The macros of operands.h, as they are with and without GUESTDBG_STENCIL."""
    plain, stencil = MACROS.read_text(encoding="utf-8").split("#else\n", 1)
    stencil += MACROS.with_name(f"operands_{host}.h").read_text(encoding="utf-8")
    defined = re.compile(
        r"^#define (GUESTDBG_(?!OPERANDS|HOLE|LOAD|STORE|VECTOR|SHIFT|PLUS\b)\w+)", re.MULTILINE
    )
    assert sorted(defined.findall(plain)) == sorted(defined.findall(stencil))


def test_the_modules_that_execute_are_seen() -> None:
    """The scan must find the functions: with a wrong pattern it would find no violation either."""
    scanned = {
        path.stem: sum(
            bool(EXECUTES.search(parameters))
            for _, parameters, _ in functions(path.read_text(encoding="utf-8"))
        )
        for path in _sources()
    }
    for path in (SOURCES / "instructions").glob("*.pyx"):
        assert scanned[path.stem] >= 1, path.name
    assert scanned["data_arith"] > 100
    assert sum(scanned.values()) > 1000
    assert "mmu" in scanned
    assert scanned["core"] > 5


MADE_UP = '''
cdef int fill(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rd = dst(raw)
    o.aux = o.rd + 1
    return OK

cdef void good(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """Not a read of i.rd."""
    c.x[rd(i)] = xn(c, i) + imm(i)  # nor is this: i.rm
    FORWARD(c, i, 0)

{bad}
cdef void also_good(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: good(c, i, last)
'''


@pytest.mark.parametrize(
    "bad",
    [
        "cdef void bad(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:\n    c.x[i.rd] = 0",
        "cdef void bad(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: FORWARD(c, i, i.imm)",
        "cdef void bad(Cpu* c, const Insn* i) noexcept nogil:\n\n    f(c)\n\n    f(i[1].imm)",
        "cdef inline uint64_t bad(const Cpu* c, const Insn* insn) noexcept nogil:\n"
        "    return c.x[insn.rm]",
        "cdef inline bint bad(Cpu* c,\n"
        "                     const Insn* i, uint64_t va) noexcept nogil:\n"
        "    return va & i.ra != 0",
        "cdef void bad(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:\n"
        "    cdef Insn* o = <Insn*>i",
        "cdef void bad(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:\n    f((i + 1).raw)",
        "cdef void bad(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:\n    f(i.idx)",
    ],
)
def test_a_direct_read_is_noticed(bad: str) -> None:
    found = violations(MADE_UP.replace("{bad}", bad + "\n"))
    assert [violation.function for violation in found] == ["bad"]


def test_what_is_allowed_is_not_a_violation() -> None:
    assert violations(MADE_UP.replace("{bad}", "")) == []
