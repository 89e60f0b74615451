"""The C source of a module's stencils, from what Cython wrote for the module.

Kept are the types, the inline functions and the functions of instructions; Python's part, which is
most of the file, is cut off. Functions of other modules, which Cython reaches by pointers, become
extern, so that the compiler jumps to them directly. Each function that executes an instruction gets
a second one, into which everything inline is compiled, and whose instruction is a symbol instead of
an argument.
"""

import re
from dataclasses import dataclass

_CPU = r"struct __pyx_t_8guestdbg_3cpu_4core_Cpu \*"
_INSN = r"struct __pyx_t_8guestdbg_3cpu_4core_Insn const \*"
_PYTHON = re.compile(r"^/\* #### Code section: (?:module_exttypes|initfunc_declarations) ###", re.M)
_IMPORTED = re.compile(r"^static ([\w ]+?\*?) ?\(\*(__pyx_f_\w+)\)(\(.*\));", re.MULTILINE)
# Filled at import by what is cut off: the compiler would take them for constants.
_VARIABLE = re.compile(
    r"^static ((?!const\b)[\w ]+\b(?:__pyx_v_|guestdbg_)\w+(?:\[\d+\])*)(?: = [^;]*)?;", re.M
)
_OP = re.compile(
    rf"^static void (__pyx_f_\w+)\({_CPU}\w+, {_INSN}\w+, [^,]*uint64_t \w+\) \{{", re.M
)

PREFIX = "guestdbg_stencil_"

_HEAD = """
#define GUESTDBG_STENCIL 1
"""
_WRAPPERS = """
extern const struct __pyx_t_8guestdbg_3cpu_4core_Insn guestdbg_hole_i
    __attribute__((visibility("hidden")));
#define GUESTDBG_CUT(function) \\
    __attribute__((flatten)) void guestdbg_stencil_##function( \\
        struct __pyx_t_8guestdbg_3cpu_4core_Cpu *c, uint64_t unused, uint64_t last) \\
    { (void)unused; function(c, &guestdbg_hole_i, last); }
"""


class UnknownSource(ValueError):
    """Cython's source does not look as expected."""


@dataclass(frozen=True)
class StencilSource:
    text: str
    ops: list[str]  # C functions that execute an instruction
    externals: dict[str, str]  # C function of another module: "module function"


def unmangled(name: str) -> str:
    """`__pyx_f_8guestdbg_3cpu_3mmu_mem_load`: "guestdbg.cpu.mmu mem_load"."""
    rest = name.removeprefix("__pyx_f_")
    parts = []
    while found := re.match(r"(\d+)", rest):
        start = found.end()
        end = start + int(found[1])
        parts.append(rest[start:end])
        rest = rest[end + 1 :]
    return f"{'.'.join(parts)} {rest}"


def stencil_source(text: str) -> StencilSource:
    """Raises UnknownSource."""
    cut = _PYTHON.search(text)
    if not cut:
        raise UnknownSource("the section with Python's part of the module was not found")
    text = text[: cut.start()]
    ops = _OP.findall(text)
    externals = {found[2]: unmangled(found[2]) for found in _IMPORTED.finditer(text)}
    # Cold: the way to it is compiled apart, into the stencil's cold part.
    text = _IMPORTED.sub(r'extern \1 \2\3 __attribute__((visibility("hidden"), cold));', text)
    text = _VARIABLE.sub(r"extern \1;", text)
    wrappers = "".join(f"GUESTDBG_CUT({op})\n" for op in ops)
    # The file is in an #if to its end.
    opened = len(re.findall(r"^ *# *if", text, re.M)) - len(re.findall(r"^ *# *endif", text, re.M))
    return StencilSource(_HEAD + text + _WRAPPERS + wrappers + "#endif\n" * opened, ops, externals)
