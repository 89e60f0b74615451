"""BTF, the kernel's own description of its types: the parser, and types for drgn.

records     the header and the records of the type section, by kind
table       ``Btf``: types by number and by name; split BTF of modules
nesting     refuses types that contain themselves
drgn_types  the types as drgn knows them, made when they are asked for
search      where a kernel Image has its BTF

The format is that of Documentation/bpf/btf.rst.
"""

from guestdbg.linux.btf.drgn_types import DrgnTypes
from guestdbg.linux.btf.search import find_btf
from guestdbg.linux.btf.table import Btf

__all__ = ["Btf", "DrgnTypes", "find_btf"]
