"""The tool that cuts stencils in the build: what it refuses, and that it says why."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from pathlib import Path

import pytest

from guestdbg.cpu.stencils import aarch64, assembly, build, holes, object_file, source, x86_64
from guestdbg.cpu.stencils.cut import Cut

ROOT = Path(__file__).parents[2]
CPU = ROOT / "src" / "guestdbg" / "cpu"


CPU_TYPE = "struct __pyx_t_8guestdbg_3cpu_4core_Cpu"
INSN_TYPE = "struct __pyx_t_8guestdbg_3cpu_4core_Insn const"
ARGUMENTS = f"({CPU_TYPE} *c, {INSN_TYPE} *i, CYTHON_UNUSED uint64_t last)"
END = "/* #### Code section: module_exttypes ### */\n"


def text(body: str, declared: str = "") -> str:
    """A module as Cython writes it, in short."""
    return (
        '#ifndef Py_PYTHON_H\n#include <stdint.h>\n#define CYTHON_UNUSED\n#include "dispatch.h"\n'
        f"{CPU_TYPE} {{ uint64_t x[34]; long budget; uint64_t v[64]; }};\n"
        f"struct __pyx_t_8guestdbg_3cpu_4core_Insn {{ uint64_t imm; }};\n"
        f'#include "operands.h"\n{declared}\n'
        f"static void __pyx_f_1m_op{ARGUMENTS} {{\n{body}\n}}\n{END}#endif\n"
    )


CROSS = "aarch64-linux-gnu-gcc"


@pytest.fixture(params=["gcc", CROSS] if platform.machine() != "aarch64" else ["gcc"])
def tool(request: pytest.FixtureRequest) -> build.Compiler:
    """For this host, and for aarch64."""
    if not (found := shutil.which(request.param)):
        pytest.skip(f"no {request.param}")
    try:
        return build.compiler_for([found])
    except build.NoStencils as why:
        pytest.skip(str(why))


def cut_from(tool: build.Compiler, tmp_path: Path, body: str, declared: str = "") -> Cut:
    file = tmp_path / "m.c"
    file.write_text(text(body, declared))
    made, found = build.with_stencils(tool, file, ["-O2", f"-I{CPU}"], [])
    assert made.name == f"m.{tool.machine.name}.stencils.c"
    assert build.with_stencils(tool, file, [], []) == (made, None), "it is made once"
    assert found is not None
    return found


def test_a_sum(tool: build.Compiler, tmp_path: Path) -> None:
    found = cut_from(
        tool, tmp_path, "GUESTDBG_SET_XD(c, i, GUESTDBG_XN(c, i) + GUESTDBG_XM(c, i)); NEXT(c, i);"
    )
    (stencil,) = found.stencils
    used = [holes.HOLES[patch.target] for patch in stencil.patches]
    assert sorted(used) == ["xd", "xm", "xn"]
    assert stencil.last == holes.NUMBER["next"]
    assert stencil.cold == b""


def test_a_path_that_is_rare_is_cold(tool: build.Compiler, tmp_path: Path) -> None:
    slow = f"static void (*__pyx_f_1o_slow)({CPU_TYPE} *, {INSN_TYPE} *); /*proto*/"
    found = cut_from(
        tool,
        tmp_path,
        "if (GUESTDBG_XN(c, i) == 5) { __pyx_f_1o_slow(c, i); return; } NEXT(c, i);",
        slow,
    )
    (stencil,) = found.stencils
    assert stencil.last == holes.NUMBER["next"]
    assert stencil.cold
    assert found.externals == ["__pyx_f_1o_slow"]


@pytest.mark.parametrize(
    ("body", "declared", "why"),
    [
        pytest.param(
            "if (GUESTDBG_XN(c, i) == 5) c->x[0] = __pyx_f_1o_slow(c); NEXT(c, i);",
            f"static uint64_t (*__pyx_f_1o_slow)({CPU_TYPE} *); /*proto*/",
            "calls __pyx_f_1o_slow",
            id="a call that returns",
        ),
        pytest.param(
            "c->x[0] = __pyx_v_1m_TABLE[c->x[1] & 3]; NEXT(c, i);",
            "static uint64_t __pyx_v_1m_TABLE[4];",
            "uses (__pyx_v_1m|_GLOBAL_OFFSET)_TABLE",
            id="a variable that is filled at import",
        ),
        pytest.param(
            "c->x[0] = (uint64_t)__pyx_f_1o_slow; NEXT(c, i);",
            f"static uint64_t (*__pyx_f_1o_slow)({CPU_TYPE} *); /*proto*/",
            "uses the address of",
            id="the address of a function",
        ),
        pytest.param(
            "for (int n = 0; n < 400; n++) ((volatile uint64_t *)c->x)[n & 31] = n * 77777;"
            + "((volatile uint64_t *)c->x)[3] += 1;" * 400
            + "NEXT(c, i);",
            "",
            "bytes",
            id="too large",
        ),
    ],
)
def test_what_is_left_to_the_interpreter(
    tool: build.Compiler, tmp_path: Path, body: str, declared: str, why: str
) -> None:
    found = cut_from(tool, tmp_path, body, declared)
    assert found.stencils == []
    assert re.search(why, found.refused["__pyx_f_1m_op"])


def test_source_that_does_not_compile(tool: build.Compiler, tmp_path: Path) -> None:
    file = tmp_path / "m.c"
    file.write_text(text("this is not C;"))
    with pytest.raises(build.NoStencils, match="error"):
        build.with_stencils(tool, file, [f"-I{CPU}"], [])


def test_source_of_another_cython() -> None:
    with pytest.raises(source.UnknownSource, match="Python's part"):
        source.stencil_source("int x;\n")


def test_names() -> None:
    name = "__pyx_f_8guestdbg_3cpu_12instructions_8mem_slow_slow_wb"
    assert source.unmangled(name) == "guestdbg.cpu.instructions.mem_slow slow_wb"


@pytest.mark.parametrize(
    ("command", "platform", "why"),
    [
        (["cc"], "darwin", "for Linux only"),
        (["false"], "linux", "cannot be asked"),
        (["/nonexistent"], "linux", "cannot be asked"),
    ],
)
def test_compilers_without_stencils(command: list[str], platform: str, why: str) -> None:
    with pytest.raises(build.NoStencils, match=why):
        build.compiler_for(command, platform)


def test_clang_makes_none() -> None:
    if not (clang := shutil.which("clang")):
        pytest.skip("no clang")
    with pytest.raises(build.NoStencils, match="GCC only"):
        build.compiler_for([clang])


def test_a_file_that_is_no_object(tmp_path: Path) -> None:
    file = tmp_path / "m.o"
    for contents in (b"", b"\x7fELF", Path(sys.executable).read_bytes()[:4096]):
        file.write_bytes(contents)
        with pytest.raises(object_file.NotAnObject):
            object_file.read(file)


def test_the_usual_path_ends_with_its_exit_on_aarch64() -> None:
    lines = [
        "guestdbg_stencil_f:",
        "\tbne\t.L2",
        "\ttbz\tx1, #63, .L2",
        "\tcbnz\tw3, .L2",
        "\tb.eq\t.L3",
        "\tb\tguestdbg_hole_next",
        ".L2:",
        "\tb\tguestdbg_hole_taken",
        ".L3:",
        "\tb\t__pyx_f_8guestdbg_3cpu_3mmu_slow",
    ]
    assert assembly.arranged("\n".join(lines), aarch64.AArch64()).split("\n") == [
        "guestdbg_stencil_f:",
        "\tbne\tguestdbg_hole_taken",
        "\ttbz\tx1, #63, guestdbg_hole_taken",
        "\tcbnz\tw3, guestdbg_hole_taken",
        "\tb.eq\t.L3",
        "\tb\tguestdbg_hole_next",
        '\t.section\t.text.unlikely.guestdbg_stencil_f,"ax",@progbits',
        *lines[6:],
    ]


def test_the_usual_path_ends_with_its_exit() -> None:
    lines = [
        "guestdbg_stencil_f:",
        "\tjne\t.L2",
        "\tje\t.L3",
        "\tjmp\tguestdbg_hole_next",
        ".L2:",
        "\tjmp\tguestdbg_hole_taken",
        ".L3:",
        "\tret",
        "\t.size\tguestdbg_stencil_f, .-guestdbg_stencil_f",
    ]
    assert assembly.arranged("\n".join(lines), x86_64.X86_64()).split("\n") == [
        "guestdbg_stencil_f:",
        "\tjne\tguestdbg_hole_taken",
        "\tje\t.L3",
        "\tjmp\tguestdbg_hole_next",
        '\t.section\t.text.unlikely.guestdbg_stencil_f,"ax",@progbits',
        ".L2:",
        "\tjmp\tguestdbg_hole_taken",
        ".L3:",
        "\tret",
    ]


def test_the_holes_have_the_numbers_of_the_processor() -> None:
    text = (CPU / "translation.pyx").read_text(encoding="utf-8")
    names = text.split("cdef enum Hole:")[1].split("HOLES = 32")[0].split("\n")[1:-1]
    assert [name.strip().removeprefix("HOLE_").lower() for name in names] == list(holes.HOLES)
    assert f"HOLES = {holes.FIRST_EXTERNAL} " in text
    header = (CPU / "stencil_table.h").read_text(encoding="utf-8")
    numbers = dict(re.findall(r"GUESTDBG_(\w+) = (\d+)", header))
    assert len(numbers) == len(set(numbers.values())) == 20
    for name, number in numbers.items():
        assert getattr(holes, name) == int(number), name
