"""The kernel's own symbol table, kallsyms, in all its layouts since Linux 4.0.

tokens        the tables that names are compressed with
layout        where the tables are in a kernel Image, and which layout they have
link_address  where the kernel is linked, if the tables do not say
table         ``Kallsyms``: names to offsets and back

The tables are those that scripts/kallsyms.c of each release writes. They are found by their
contents, without System.map.
"""

from guestdbg.linux.kallsyms.table import Kallsyms, KernelSymbol

__all__ = ["Kallsyms", "KernelSymbol"]
