"""BTF that was parsed already: guests with the same kernel have the same."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from guestdbg.linux.btf import Btf

__all__ = ["parsed"]

_MOST_KERNELS, _MOST_MODULES = 4, 256
_kernels: OrderedDict[bytes, Btf] = OrderedDict()
_modules: OrderedDict[bytes, Btf] = OrderedDict()


def parsed(data: bytes, base: Btf | None = None) -> Btf:
    """The BTF in ``data``, which is not parsed again if it was. Raises BadBtf."""
    key = hashlib.sha256(data).digest()
    known, most = (_kernels, _MOST_KERNELS) if base is None else (_modules, _MOST_MODULES)
    found = known.get(key)
    if found is None or found.base is not base:
        found = known[key] = Btf(data, base)
        while len(known) > most:
            known.popitem(last=False)
    known.move_to_end(key)
    return found
