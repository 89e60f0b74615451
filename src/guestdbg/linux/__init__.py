"""What is known of a Linux guest: its kernel's symbols, and where the kernel is.

``guest.linux`` gives it. For a guest that was loaded from an Image the kernel's names are there
from the start; for one that firmware has started, ``guest.linux`` finds the kernel in memory.

errors           the exceptions
kallsyms         the kernel's own symbol table, in all its layouts
kernel_symbols   its symbols as a source of the debugger's resolver
running_address  where a kernel runs: its image in memory, KASLR
relocation       the moment at which the kernel relocates itself
kernel           ``Linux``, which brings all of this together
"""

from guestdbg.linux.errors import BadKallsyms, NoKernel
from guestdbg.linux.kallsyms import Kallsyms, KernelSymbol
from guestdbg.linux.kernel import Linux, attach

__all__ = ["BadKallsyms", "Kallsyms", "KernelSymbol", "Linux", "NoKernel", "attach"]
