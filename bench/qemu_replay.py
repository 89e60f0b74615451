"""QEMU with a recording to go back in: ``-icount ...,rr=record``, then ``rr=replay``."""

import contextlib
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import qemu

#: How long QEMU may take to record the guest.
_SECONDS = 60
_CLUSTER = 1 << 16
_DISK_BYTES = 1 << 28


def _empty_qcow2() -> bytes:
    """An empty disk, in which QEMU keeps its snapshots (docs/interop/qcow2.txt, version 2).

    Its clusters: the header, the table and the one block of reference counts, the L1 table.
    """
    header = struct.pack(
        ">4sIQIIQIIQQIIQ",
        *(b"QFI\xfb", 2, 0, 0, 16, _DISK_BYTES, 0),
        *(1, 3 * _CLUSTER, _CLUSTER, 1, 0, 0),
    )
    disk = bytearray(4 * _CLUSTER)
    disk[: len(header)] = header
    disk[_CLUSTER : _CLUSTER + 8] = struct.pack(">Q", 2 * _CLUSTER)
    disk[2 * _CLUSTER : 2 * _CLUSTER + 8] = struct.pack(">4H", 1, 1, 1, 1)
    return bytes(disk)


@contextlib.contextmanager
def stopped(kernel: Path) -> Iterator[Path]:
    """Record a guest that powers off, and start its replay stopped; yields its stub's socket."""
    program = qemu.program(qemu.QEMU)
    with tempfile.TemporaryDirectory() as name:
        disk, log = Path(name) / "snapshots.qcow2", Path(name) / "recording"
        disk.write_bytes(_empty_qcow2())
        drive = ["-drive", f"file={disk},if=none,id=rr"]
        icount = f"shift=6,rrfile={log},rrsnapshot=init,rr="
        subprocess.run(
            [program, *qemu.MACHINE, *drive, "-icount", f"{icount}record", "-kernel", str(kernel)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=_SECONDS,
        )
        with qemu.stopped(kernel, *drive, "-icount", f"{icount}replay") as socket:
            yield socket
