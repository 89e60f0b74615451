"""Symbols of a running kernel beyond its kallsyms, without any file.

exported         what it exports to modules: ``__ksymtab``
vmcoreinfo       what it notes for crash dumps: addresses, offsets, sizes, constants
code_references  the variables that a function's code refers to
data_symbols     all of these, for a kernel whose kallsyms names functions only
"""

from guestdbg.linux.symbols.data_symbols import DataSymbols
from guestdbg.linux.symbols.exported import ExportedSymbols
from guestdbg.linux.symbols.vmcoreinfo import VmcoreInfo

__all__ = ["DataSymbols", "ExportedSymbols", "VmcoreInfo"]
