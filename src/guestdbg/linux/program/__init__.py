"""The drgn program of a running kernel, which drgn's own helpers for Linux accept.

source           ``KernelProgram``, which makes it
vmcoreinfo_text  the vmcoreinfo that drgn is given, also before the kernel has made its own
well_known       the types of variables that BTF does not have
per_cpu          where the variables of each CPU are
module_types     the types of the modules that are loaded
objects          variables, functions and constants by name
scope            parameters of functions where they are entered; the current task
symbols          symbols by name and address
btf_cache        BTF that was parsed already
dwarf_types      the types of a vmlinux in terms of BTF, for a kernel without
"""

from guestdbg.linux.program.source import KernelProgram

__all__ = ["KernelProgram"]
