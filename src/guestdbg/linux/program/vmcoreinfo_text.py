"""The vmcoreinfo that drgn is given.

drgn takes a program for a Linux kernel if it has a vmcoreinfo. A kernel makes its own when it
starts (crash_save_vmcoreinfo_init, an initcall); before that, this is the part of it that drgn
needs, from what is known of the kernel.
"""

from __future__ import annotations

__all__ = ["minimal_vmcoreinfo"]

_PAGE_SIZES = {1: 16 << 10, 2: 4 << 10, 3: 64 << 10}
_U64 = (1 << 64) - 1


def minimal_vmcoreinfo(
    release: str, address: int, physical: int, page_tables: int | None, tcr: int
) -> str:
    """The text, with the entries that drgn demands.

    Args:
        release: as ``uname -r`` prints it.
        address: the virtual address of the kernel's first byte.
        physical: its guest-physical address.
        page_tables: the address of ``swapper_pg_dir``. drgn demands one; memory is not read
            through it here, so that without one it may be the kernel's own address.
        tcr: TCR_EL1 (DDI 0487, D19.2): T1SZ and TG1; 0 before the MMU is on.
    """
    size = tcr >> 16 & 0x3F or 16
    return (
        f"OSRELEASE={release}\n"
        f"PAGESIZE={_PAGE_SIZES.get(tcr >> 30 & 3, 4 << 10)}\n"
        f"SYMBOL(swapper_pg_dir)={address if page_tables is None else page_tables:x}\n"
        f"SYMBOL(_stext)={address:x}\n"
        f"NUMBER(VA_BITS)={64 - size}\n"
        f"NUMBER(kimage_voffset)={address - physical & _U64:#x}\n"
        f"NUMBER(TCR_EL1_T1SZ)={size:#x}\n"
    )
