"""BTF that was parsed already: guests with the same kernel have the same."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from guestdbg.linux.btf import Btf

__all__ = ["parsed"]

_MOST = 4
_known: OrderedDict[bytes, Btf] = OrderedDict()


def parsed(data: bytes) -> Btf:
    """The BTF in ``data``, which is not parsed again if it was. Raises BadBtf."""
    key = hashlib.sha256(data).digest()
    found = _known.get(key)
    if found is None:
        found = _known[key] = Btf(data)
        while len(_known) > _MOST:
            _known.popitem(last=False)
    _known.move_to_end(key)
    return found
