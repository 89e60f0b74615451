"""What a job uses that cannot be sent to another process."""

from __future__ import annotations

import itertools
import os
import socket
import weakref
from typing import Any, Generic, TypeVar

from guestdbg.campaign.errors import CampaignError

__all__ = ["OnlyHere"]

_T = TypeVar("_T")
_numbers = itertools.count()
_known: weakref.WeakValueDictionary[int, OnlyHere[Any]] = weakref.WeakValueDictionary()


class OnlyHere(Generic[_T]):
    """Something of this process in a job: a device, a running machine, a connection.

    Such a campaign runs with ``workers=0``, while this object exists; elsewhere its job cannot be
    loaded.

    Attributes:
        thing: what it is.
    """

    def __init__(self, thing: _T) -> None:
        self.thing = thing
        self._number = next(_numbers)
        _known[self._number] = self

    def __reduce__(self) -> tuple[Any, ...]:
        return _find, (socket.gethostname(), os.getpid(), self._number)


def _find(host: str, process: int, number: int) -> OnlyHere[Any]:
    found = _known.get(number)
    if found is None or (host, process) != (socket.gethostname(), os.getpid()):
        raise CampaignError(
            "it uses something that only the process had which made the campaign: run it there, "
            "with workers=0"
        )
    return found
