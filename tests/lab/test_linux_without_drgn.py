"""What is known of a Linux guest on the real KVM: its state, processes, points, and what GDB asks.

The checks are those of linux_program.py, which runs in the lab, where there is no drgn. They share
one guest, which takes most of the time to boot.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from guestdbg.debugger.program.image import Image
from guestdbg.lab import CommandTimeout, Lab, LabError
from guestdbg.lab.guests.linux import LinuxGuest, linux_guest
from guestdbg.lab.machine.upload import Files
from guestdbg.linux import Kallsyms
from guestdbg.linux.vmlinux import build_ids
from tests.lab import linux_program
from tests.linux.workers import GCC, NEEDS_GCC, build

PROGRAM = Path(__file__).with_name("linux_program.py")
FUNCTION = "__arm64_sys_newuname"
SOURCE = f"""\
struct pt_regs;

long {FUNCTION}(const struct pt_regs *regs) {{ return regs != 0; }}
const char linux_banner[] = "Linux version RELEASE (gcc) #1";
"""
LINK = """\
SECTIONS { _text = START; /DISCARD/ : { *(.note.GNU-stack) *(.eh_frame) }
.rodata START : { *(.rodata*) } .notes : { *(.note*) } .text FUNCTION : { *(.text) } }
"""


def small_vmlinux(directory: Path, guest: LinuxGuest) -> Path:
    """A file that passes for the kernel's vmlinux, with one function at the place of the real."""
    image = guest.kernel.read_bytes()
    kallsyms = Kallsyms(image)
    assert kallsyms.address is not None
    start, (found,) = kallsyms.address, kallsyms.named(FUNCTION)
    link = LINK.replace("START", hex(start)).replace("FUNCTION", hex(start + found.offset))
    (directory / "kernel").mkdir()
    (directory / "kernel" / "sys.c").write_text(SOURCE.replace("RELEASE", guest.release))
    (directory / "link.lds").write_text(link)
    flags = ("-g", "-O1", "-ffreestanding", "-nostdlib", "-static", "-Wl,-T,link.lds")
    build_id = f"-Wl,--build-id=0x{build_ids(image)[0].hex()}"
    command = [GCC, *flags, build_id, "-Wl,-z,max-page-size=4096", "-o", "vmlinux", "kernel/sys.c"]
    subprocess.run(command, check=True, cwd=directory)
    return directory / "vmlinux"


def files(directory: Path) -> Files:
    """What the program boots, and what it has to know of it."""
    try:
        guest = linux_guest()
    except LabError as error:
        pytest.skip(f"no Linux guest: {error}")
    program, archive = build(directory)
    names = {name: Image(program).symbols.find(name).address for name in ("counter", "work")}
    return {
        PROGRAM.name: PROGRAM,
        "/guest/vmlinuz": guest.kernel,
        "/guest/initrd": guest.initrd.read_bytes() + archive,
        "/guest/worker.json": json.dumps(names).encode(),
        "/guest/vmlinux": small_vmlinux(directory, guest),
    }


def all_checks(lab: Lab, directory: Path) -> None:
    """Run the program; fails with what has failed in it."""
    command = ["python3", PROGRAM.name]
    try:
        result = lab.run(command, files=files(directory), timeout=560)
        output, errors = result.stdout, result.stderr
    except CommandTimeout as error:
        output, errors = error.stdout, error.stderr
    found = [json.loads(line) for line in output.decode().splitlines()]
    print(*(f"{each['seconds']:6} {each['check']}" for each in found), sep="\n")
    failures = [f"{each['check']}: {each['failed']}" for each in found if each["failed"]]
    assert not failures, "\n".join(failures)
    names = [function.__name__ for function in linux_program.CHECKS]
    assert [each["check"] for each in found] == names, errors.decode()


@pytest.mark.slow
@pytest.mark.timeout(600)
@NEEDS_GCC
def test_one_vcpu(lab: Lab, tmp_path: Path) -> None:
    all_checks(lab, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(900)
@NEEDS_GCC
@pytest.mark.parametrize("options", [{"cpu": "vhe"}, {"suite": "sid"}], ids=["vhe", "newest"])
def test_other_hosts(lab_root: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    """VHE mode, and Debian's newest kernel."""
    with Lab(root=lab_root, **options) as lab:
        all_checks(lab, tmp_path)
