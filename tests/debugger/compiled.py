"""Guests compiled from a piece of C when a test runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

GCC = shutil.which("aarch64-linux-gnu-gcc")
GXX = shutil.which("aarch64-linux-gnu-g++")

needs_gcc = pytest.mark.skipif(GCC is None, reason="aarch64-linux-gnu-gcc is not installed")

needs_gxx = pytest.mark.skipif(GXX is None, reason="aarch64-linux-gnu-g++ is not installed")

_FLAGS = (
    *("-O2", "-ffreestanding", "-fno-stack-protector", "-fno-pic", "-fno-pie"),
    *("-mstrict-align", "-mgeneral-regs-only", "-nostdlib", "-static", "-no-pie"),
    *("-Wl,--build-id=none", "-Wl,-z,noseparate-code", "-Wl,--no-warn-rwx-segments"),
    "-Wl,-Ttext=0x40200000",
)
#: Calls main with a stack, and powers off (PSCI SYSTEM_OFF).
_START = """\
	.section .text.start, "ax"
	.global _start
	.type _start, %function
_start:	ldr	x0, =stack_top
	mov	sp, x0
	mov	x29, xzr
	mov	x30, xzr
@FP
	bl	main
	ldr	w0, =0x84000008
	hvc	#0
	b	.
	.size _start, . - _start
	.bss
	.balign 16
	.skip 0x10000
stack_top:
"""
#: What is before the call of main if the guest may use floating point: CPACR_EL1.FPEN.
_ENABLE_FP = """\
	mrs	x0, CPACR_EL1
	orr	x0, x0, #(3 << 20)
	msr	CPACR_EL1, x0
	isb"""


_CXX = ("-std=c++20", "-fno-exceptions", "-fno-rtti")


def compiled(
    directory: Path,
    sources: dict[str, str],
    flags: Sequence[str] = ("-g",),
    *,
    floats: bool = False,
) -> Path:
    """Compile and link the sources, by file name, to a guest; one of them has ``main``.

    ``floats``: they may use floating point.
    """
    cxx = any(name.endswith(".cpp") for name in sources)
    compiler = GXX if cxx else GCC
    assert compiler is not None
    paths = []
    start = _START.replace("@FP\n", f"{_ENABLE_FP}\n" if floats else "")
    for name, text in {**sources, "start.S": start}.items():
        (directory / name).write_text(text)
        paths.append(name)
    guest = directory / "guest.elf"
    common = [flag for flag in _FLAGS if not (floats and flag == "-mgeneral-regs-only")]
    subprocess.run(
        [compiler, *common, *(_CXX if cxx else ("-std=gnu11",)), *flags, "-o", str(guest), *paths],
        check=True,
        cwd=directory,
        timeout=60,
    )
    return guest


def line_of(source: str, marker: str) -> int:
    """The number of the first line that contains the marker."""
    return next(n for n, line in enumerate(source.splitlines(), 1) if marker in line)
