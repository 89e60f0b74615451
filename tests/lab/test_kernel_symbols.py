"""The reader of kallsyms against a kernel's own /proc/kallsyms: names, types and addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestdbg.lab import Lab
from guestdbg.lab.image import initramfs
from guestdbg.linux import Kallsyms


def compare(lab: Lab, image: Path) -> None:
    result = lab.run(["/bin/busybox", "cat", "/proc/kallsyms"], timeout=60)
    assert result.status == 0
    rows = [line.split() for line in result.stdout.decode().splitlines()]
    # Those of modules and BPF programs have one more column: the module.
    theirs = [(row[2], int(row[0], 16), row[1]) for row in rows if len(row) == 3]
    kallsyms = Kallsyms(image.read_bytes())
    assert len(theirs) > 40_000
    assert [(name, type_) for name, _, type_ in theirs] == [(s.name, s.type) for s in kallsyms]
    start = theirs[0][1] - kallsyms.symbol(0).offset
    assert [address - start for _, address, _ in theirs] == [s.offset for s in kallsyms]
    # QEMU gives the kernel a seed: it has moved itself by a multiple of 2 MiB.
    assert kallsyms.address is not None
    assert (start - kallsyms.address) % (2 << 20) == 0


def test_debian_6_1(lab: Lab, lab_root: Path) -> None:
    compare(lab, initramfs.base(lab_root).kernel)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("name", "suite"), [("trixie", "trixie"), ("newest", "sid")])
def test_newer_kernels(
    request: pytest.FixtureRequest, lab_root: Path, name: str, suite: str
) -> None:
    compare(request.getfixturevalue(name), initramfs.base(lab_root, suite).kernel)
