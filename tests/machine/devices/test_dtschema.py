"""The device tree against the schemas of the Devicetree Specification, by dt-validate."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from guestdbg.machine import Board, GicVersion
from guestdbg.machine.layout import MIB
from tests.machine.fakes import ALL_CAPS, FakeKvm
from tests.machine.test_interrupts import V2, V3

# Not imported here: it sets a handler of SIGINT that ends the process.
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("dtschema") is None,
    reason="dtschema is not installed (pip install dtschema)",
)

# What Linux's own bindings define is not in the package, so that it does not know their types.
UNKNOWN_TYPE = r"is not of type 'object', 'integer', 'array', 'boolean', 'null'$"
UNKNOWN = {
    "method",
    "cpu_suspend",
    "cpu_off",
    "cpu_on",
    "migrate",
    "linux,code",
    "bank-width",
}


@pytest.mark.parametrize("gic", [None, 2, 3])
def test_no_complaints(gic: GicVersion, tmp_path: Path) -> None:
    """A board with all that it can have."""
    board = Board(
        FakeKvm(ALL_CAPS, [V2, V3]),
        gic=gic,
        vcpus=64 if gic == 3 else 8,
        seed=1,
        bootargs="console=ttyAMA0",
        entropy=True,
    )
    board.map_flash()
    tree = tmp_path / "board.dtb"
    tree.write_bytes(board.device_tree(initrd=(0x4800_0000, 0x4800_0000 + MIB)))
    board.close()
    run = "import sys; from dtschema.dtb_validate import main; sys.exit(main())"
    result = subprocess.run(
        [sys.executable, "-c", run, str(tree)], capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stderr
    lines = (result.stdout + result.stderr).splitlines()
    complaints = [line for line in lines if line.startswith(str(tree))]
    other = []
    for line in complaints:
        found = re.search(r": ([\w,-]+): b'.*" + UNKNOWN_TYPE, line)
        if found is None or found[1] not in UNKNOWN:
            other.append(line)
    assert other == []
