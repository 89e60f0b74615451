"""Stencils of a module, for setup.py: from Cython's C source to one with a table of stencils."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import assembly, object_file
from .aarch64 import AArch64
from .cut import cut
from .source import UnknownSource, stencil_source
from .table import table_source
from .x86_64 import X86_64

if TYPE_CHECKING:
    from .cut import Cut
    from .machine import Machine

# No calls through tables, no tables of jumps, no padding, and one section for each function.
FLAGS = [
    *("-fpie", "-fno-plt", "-fno-jump-tables", "-ffunction-sections"),
    *("-fno-stack-protector", "-fno-stack-clash-protection"),
    *("-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-exceptions", "-g0", "-w"),
    *("-fno-align-functions", "-fno-align-jumps", "-fno-align-loops", "-fno-align-labels"),
]
MACHINES: tuple[Machine, ...] = (X86_64(), AArch64())
_INLINE = "-DCYTHON_INLINE=inline __attribute__((always_inline))"


class NoStencils(Exception):
    """Why there are none."""


@dataclass(frozen=True)
class Compiler:
    """A GCC for Linux; `command` compiles, without options that concern the code itself."""

    command: list[str]
    machine: Machine

    def run(self, *arguments: str) -> None:
        done = subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise NoStencils(done.stderr.strip()[-2000:])


def compiler_for(command: Sequence[str], platform: str = sys.platform) -> Compiler:
    """command: as distutils compiles. Raises NoStencils if stencils cannot be made with it."""
    if platform != "linux":
        raise NoStencils(f"stencils are made for Linux only, not for {platform}")
    kept = [part for part in command if not part.startswith(("-f", "-O", "-g", "-W"))]
    try:
        asked = subprocess.run(
            [*kept, "-dM", "-E", "-x", "c", os.devnull], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoStencils(f"the compiler cannot be asked what it is: {error}") from error
    macros = {line.split()[1] for line in asked.stdout.splitlines() if line.startswith("#define")}
    if "__clang__" in macros or "__GNUC__" not in macros:
        raise NoStencils("stencils are made with GCC only")
    for machine in MACHINES:
        if f"__{machine.name}__" in macros and "__ILP32__" not in macros:
            return Compiler(kept, machine)
    names = " and ".join(machine.name for machine in MACHINES)
    raise NoStencils(f"stencils are made for {names} only")


def _outdated(made: Path, sources: Sequence[Path]) -> bool:
    if not made.exists():
        return True
    then = made.stat().st_mtime
    return any(source.stat().st_mtime > then for source in sources)


def with_stencils(
    compiler: Compiler, module: Path, options: Sequence[str], depends: Sequence[Path]
) -> tuple[Path, Cut | None]:
    """The C source to compile instead of `module`, and what was cut (None: it was made earlier).

    options: those that the module is compiled with. Raises NoStencils.
    """
    machine = compiler.machine
    made = module.with_suffix(f".{machine.name}.stencils.c")
    tools = sorted(Path(__file__).parent.glob("*.py"))
    if not _outdated(made, [module, *depends, *tools]):
        return made, None
    try:
        source = stencil_source(module.read_text(encoding="utf-8"))
        written = made.with_suffix(".holes.c")
        written.write_text(source.text, encoding="utf-8")
        text, binary = written.with_suffix(".s"), written.with_suffix(".o")
        flags = (*options, *FLAGS, *machine.flags, _INLINE)
        compiler.run(*flags, "-S", str(written), "-o", str(text))
        lines = assembly.arranged(text.read_text(encoding="utf-8"), machine)
        text.write_text(lines, encoding="utf-8")
        compiler.run("-c", str(text), "-o", str(binary))
        found = cut(object_file.read(binary), source.ops, source.externals, machine)
    except (UnknownSource, object_file.NotAnObject, UnicodeError) as error:
        raise NoStencils(str(error)) from error
    made.write_text(table_source(module.name, found, source.externals), encoding="utf-8")
    for file in (written, text, binary):
        file.unlink()
    return made, found
