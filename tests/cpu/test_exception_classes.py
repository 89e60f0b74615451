"""The processor's exception classes are those of guestdbg.arm64.exception_class."""

import re
from pathlib import Path

from guestdbg.arm64.exception_class import EC

CPU = Path(__file__).parents[2] / "src" / "guestdbg" / "cpu"


def test_the_classes_are_the_same() -> None:
    """C needs constants of its own: they have the same names and values."""
    text = (CPU / "exception.pxd").read_text(encoding="utf-8")
    found = {name: int(value, 0) for name, value in re.findall(r"^ +EC_(\w+) = (\w+)$", text, re.M)}
    assert len(found) > 15
    assert found == {name: EC[name].value for name in found}
