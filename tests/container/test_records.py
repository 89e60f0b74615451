"""The records of saved guests: what is read is checked against the annotations of their fields."""

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.container.values import Records, _annotations
from guestdbg.debugger.guest_file import manifest
from guestdbg.history import run_file
from guestdbg.kvm.soft.snapshot import serial as soft_serial
from guestdbg.machine import serial as board_serial

KINDS: tuple[Records, ...] = (
    board_serial._RECORDS,
    manifest.RECORDS,
    run_file._RECORDS,
    soft_serial._RECORDS,
)


@pytest.mark.parametrize("kind", sorted({c for each in KINDS for c in each.values()}, key=str))
def test_their_annotations_are_known_at_run_time(kind: type) -> None:
    """An import for types only, under TYPE_CHECKING, would leave a name that nothing defines."""
    assert _annotations(kind).keys() == set(getattr(kind, "_fields", None) or kind.__match_args__)
