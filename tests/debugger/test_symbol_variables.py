"""Names that only the symbol table knows, and names of C++, as variables and as addresses."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from guestdbg.debugger import Guest, NoDebugInfo, UnknownSymbol, load
from guestdbg.debugger.program.variable_expression import Member, parse

GCC = shutil.which("aarch64-linux-gnu-gcc")
needs_gcc = pytest.mark.skipif(GCC is None, reason="aarch64-linux-gnu-gcc is not installed")
pytest.importorskip("drgn", reason="drgn runs on Linux only")

ASSEMBLY = """
    .globl _start, main
    .type main, %function
_start:
main:
    ldr x0, =ticks
    mov w1, #3
1:  ldr w2, [x0]
    add w2, w2, #1
    str w2, [x0]
    subs w1, w1, #1
    b.ne 1b
    b .
    .size main, . - main
    .data
    .balign 8
    .globl ticks
    .type ticks, %object
    .size ticks, 4
ticks: .word 0
unsized: .word 7
    .type block, %object
    .size block, 24
block: .space 24
    .globl bytes8
    .type bytes8, %object
    .size bytes8, 8
bytes8: .quad 0xffffffffffffffff
"""
TYPED = "int known;\n"


@pytest.fixture(scope="module", params=["without types", "with types"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert GCC is not None
    folder = tmp_path_factory.mktemp("symbols")
    (folder / "guest.S").write_text(ASSEMBLY)
    (folder / "typed.c").write_text(TYPED)
    debug = ["-g"] if request.param == "with types" else []
    command = [GCC, *debug, "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x40200000"]
    command += ["-Wl,--defsym=__stack_top=0x40300000", "-Wl,-z,max-page-size=4096"]
    subprocess.run(
        [*command, "-o", folder / "guest.elf", folder / "guest.S", folder / "typed.c"], check=True
    )
    return folder / "guest.elf"


def started(path: Path) -> Guest:
    return load(path, provider="soft", console=None, memory="16M")


@needs_gcc
def test_a_symbol_with_the_size_of_an_integer_is_its_value(path: Path) -> None:
    with started(path) as guest:
        assert (guest["ticks"], guest["bytes8"]) == (0, (1 << 64) - 1)
        assert guest["ticks"].address_ == guest.symbol("ticks").address
        point = guest.watch("ticks", when="ticks == 2 and bytes8 > 0")
        stop = guest.run(max_instructions=1000)
        assert (stop.reason, point.seen, point.hits) == ("hit", 2, 1)


@needs_gcc
def test_functions_and_symbols_of_the_linker_are_addresses(path: Path) -> None:
    with started(path) as guest:
        assert guest["__stack_top"] == 0x4030_0000
        assert guest["main"] == guest.symbol("main").address
        point = guest.watch("ticks", when="x0 < __stack_top and pc >= main")
        assert guest.run(max_instructions=1000).reason == "hit"
        assert point.hits == 1


@needs_gcc
@pytest.mark.parametrize(("name", "size"), [("unsized", "no size"), ("block", "24 bytes")])
def test_a_symbol_of_unknown_type_says_what_to_write(path: Path, name: str, size: str) -> None:
    with started(path) as guest:
        address = guest.symbol(name).address
        with pytest.raises(NoDebugInfo, match=f"no type.*{size}[.].*u32.{address:#x}.") as caught:
            guest[name]
        assert "did you mean" not in str(caught.value)


@needs_gcc
def test_no_name_is_proposed_for_itself(path: Path) -> None:
    with started(path) as guest:
        with pytest.raises((UnknownSymbol, NoDebugInfo)) as caught:
            guest["tickz"]
        assert "did you mean 'tickz'" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "file", "name"),
    [
        ("drv::irqs", None, "drv::irqs"),
        ("::irqs", None, "::irqs"),
        ("a.c:count", "a.c", "count"),
        ("a.c::count", "a.c", "count"),
        ("dir/a.cpp:drv::irqs", "dir/a.cpp", "drv::irqs"),
        ("a.cpp::drv::irqs", "a.cpp", "drv::irqs"),
        ("C:/src/a.c:count", "C:/src/a.c", "count"),
        ("drv::Port::~Port", None, "drv::Port::~Port"),
    ],
)
def test_files_and_namespaces(text: str, file: str | None, name: str) -> None:
    assert parse(text)[1:3] == (file, name)
    assert parse(text + ".x->y").path == (Member("x", False), Member("y", True))
