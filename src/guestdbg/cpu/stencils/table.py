"""The C source of a module's table of stencils (cpu/stencil_table.h)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cut import Cut


def _bytes(data: bytes) -> str:
    return ",".join(str(byte) for byte in data) or "0"


def _rows(rows: list[str]) -> str:
    return ",\n".join(rows) or "{0}"


def table_source(module: str, cut: Cut, names: dict[str, str]) -> str:
    """module: the file with the module's C source, which the table is compiled with."""
    code = b""
    stencils: list[str] = []
    patches: list[str] = []
    for stencil in cut.stencils:
        stencils.append(
            f"{{(void *){stencil.op}, {len(code)}, {len(patches)}, {len(stencil.hot)},"
            f" {len(stencil.cold)}, {len(stencil.patches)}, {stencil.last}}}"
        )
        code += stencil.hot + stencil.cold
        patches += [f"{{{p.offset}, {p.kind}, {p.target}, {p.addend}}}" for p in stencil.patches]
    externals = ", ".join(f'"{names[name]}"' for name in cut.externals)
    names_of = externals or "0"
    return f"""/* Written by the build (cpu/stencils). */
#include "{module}"
#include "stencil_table.h"
static const struct guestdbg_stencil guestdbg_each[] = {{
{_rows(stencils)}
}};
static const struct guestdbg_patch guestdbg_patches[] = {{
{_rows(patches)}
}};
static const uint8_t guestdbg_code[] = {{{_bytes(code)}}};
static const uint8_t guestdbg_data[] __attribute__((aligned(64))) = {{{_bytes(cut.data)}}};
static const char *const guestdbg_names[] = {{{names_of}}};
__attribute__((visibility("default"))) const struct guestdbg_stencils guestdbg_stencils = {{
    {len(cut.stencils)}, {len(cut.externals)}, {len(cut.data)}, 0,
    guestdbg_each, guestdbg_patches, guestdbg_code, guestdbg_data, guestdbg_names,
}};
"""
