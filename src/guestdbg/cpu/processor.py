"""The processor, ready for use: imports the compiled modules and installs the decode table.

Raises ImportError, saying what to do, where the processor is not compiled.
"""

import importlib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path


def _compiled_modules(package: str, folder: Path) -> list[str]:
    """The full names of the compiled modules in a package and in the packages inside it.

    ``pkgutil.walk_packages`` would do, but takes as long as loading all of them.
    """
    names = []
    for entry in sorted(folder.iterdir()):
        if entry.suffix in (".pyx", ".pxd", ".py"):
            continue
        name = entry.name.partition(".")[0]
        if entry.name.removeprefix(name) in EXTENSION_SUFFIXES:
            names.append(f"{package}.{name}")
        elif entry.is_dir() and name.isidentifier() and name != "__pycache__":
            names += _compiled_modules(f"{package}.{name}", entry)
    return names


#: The rows of the decode table that each module has put there.
_ROWS: dict[str, slice] = {}

try:
    from guestdbg.cpu import core, instructions, processor_binding, tier
    from guestdbg.cpu.dirty_pages import DirtyPages
    from guestdbg.cpu.flow_trace import FlowBuffer
    from guestdbg.cpu.hit_program_objects import HitPrograms
    from guestdbg.cpu.instruction_trace import InstructionBuffer
    from guestdbg.cpu.memory import PhysicalMemory
    from guestdbg.cpu.page_store import PAGE_COST, PAGE_ENTRY, Pages, address_of
    from guestdbg.cpu.processor_binding import Processor
    from guestdbg.cpu.state import ProcessorState

    _imported = [importlib.import_module("guestdbg.cpu.link_stencils")]
    for _name in _compiled_modules(instructions.__name__, Path(instructions.__path__[0])):
        _module = importlib.import_module(_name)
        _imported.append(_module)
        if hasattr(_module, "install"):  # not the slow paths
            _first = len(core.row_names)
            _module.install()
            _ROWS[_name] = slice(_first, len(core.row_names))
    core.seal()
    tier.choose(_imported)
except ImportError as error:
    raise ImportError(
        "the software provider needs guestdbg's compiled processor, which is not built here "
        f"({error}). Install a C compiler and the Python headers, then reinstall guestdbg: "
        "GUESTDBG_REQUIRE_CPU=1 pip install --force-reinstall --no-binary guestdbg guestdbg"
    ) from error

EXIT_EL2: int = processor_binding.EXIT_EL2_
EXIT_LIMIT: int = processor_binding.EXIT_LIMIT_
EXIT_KICK: int = processor_binding.EXIT_KICK_
EXIT_TIMER: int = processor_binding.EXIT_TIMER_
EXIT_HIT: int = processor_binding.EXIT_HIT_
EXIT_HLT: int = processor_binding.EXIT_HLT_
EXIT_MAINTENANCE: int = processor_binding.EXIT_MAINTENANCE_
EXIT_STUCK: int = processor_binding.EXIT_STUCK_
EXIT_TRACE: int = processor_binding.EXIT_TRACE_


def encodings() -> list[tuple[str, int, int]]:
    """The decode table: (name, mask, value) of each row."""
    return core.table()


def encodings_by_module() -> dict[str, list[tuple[str, int, int]]]:
    """The same, by the module of the instructions: "fp.fp_compare", "mem_int"."""
    table = core.table()
    start = len(instructions.__name__) + 1
    return {module[start:]: table[rows] for module, rows in _ROWS.items()}


__all__ = [
    "EXIT_EL2",
    "EXIT_HIT",
    "EXIT_HLT",
    "EXIT_KICK",
    "EXIT_LIMIT",
    "EXIT_MAINTENANCE",
    "EXIT_STUCK",
    "EXIT_TIMER",
    "EXIT_TRACE",
    "PAGE_COST",
    "PAGE_ENTRY",
    "DirtyPages",
    "FlowBuffer",
    "HitPrograms",
    "InstructionBuffer",
    "Pages",
    "PhysicalMemory",
    "Processor",
    "ProcessorState",
    "address_of",
    "encodings",
    "encodings_by_module",
]
