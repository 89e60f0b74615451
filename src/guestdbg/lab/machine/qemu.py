"""QEMU as the lab's machine: an arm64 processor with EL2, so that its kernel has a KVM."""

import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from guestdbg.lab.errors import LabError
from guestdbg.lab.inside.port import NAME

PROGRAM = "qemu-system-aarch64"

#: The processors by what kind of KVM they make: without and with the Virtualization Host
#: Extensions. QEMU's own way to authenticate pointers is much faster than Arm's. No SVE: before
#: QEMU 8.1, code that a vector store overwrites (memcpy does so) is forgotten by its first byte
#: only, and a guest ran what a guest before it had had in the same memory.
CPUS = {"nvhe": "cortex-a57", "vhe": "max,pauth-impdef=on,sve=off"}


@dataclass(frozen=True)
class MachineOptions:
    """What the lab's machine is like. ``memory`` is in MiB; ``cpu`` as QEMU calls it, or
    "nvhe"/"vhe"; ``gic`` is 2 or 3."""

    cpu: str = "nvhe"
    smp: int = 1
    memory: int = 1024
    gic: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.smp <= (8 if self.gic == 2 else 64):
            most = 8 if self.gic == 2 else 64
            raise LabError(f"smp={self.smp}: a GICv{self.gic} machine has 1 to {most} processors")
        if not 512 <= self.memory <= 65536:
            raise LabError(f"memory={self.memory}: the lab takes 512 to 65536 MiB")
        if self.gic not in (2, 3):
            raise LabError(f"gic={self.gic}: there are version 2 and version 3")


def find() -> str:
    """The path of QEMU; raises LabError saying what to install."""
    path = shutil.which(PROGRAM)
    if path is None:
        raise LabError(
            f"the lab runs in QEMU, and {PROGRAM} is not installed; "
            "on Debian or Ubuntu: apt-get install qemu-system-arm"
        )
    return path


def start(
    machine: MachineOptions, kernel: Path, initrd: Path, console: Path
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Starts QEMU; the socket is our end of the line to the agent inside.

    The kernel's console goes to the file ``console``, so that nothing it says is mixed with what
    commands say.
    """
    program = find()
    ours, theirs = socket.socketpair()
    command = [
        program,
        *("-machine", f"virt,virtualization=on,gic-version={machine.gic}"),
        *("-cpu", CPUS.get(machine.cpu, machine.cpu)),
        *("-smp", str(machine.smp), "-m", str(machine.memory)),
        *("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-global", "virtio-mmio.force-legacy=false"),
        *("-chardev", f"socket,id=lab,fd={theirs.fileno()}"),
        *("-device", "virtio-serial-device"),
        *("-device", f"virtserialport,chardev=lab,name={NAME}"),
        *("-kernel", str(kernel), "-initrd", str(initrd)),
        *("-append", "console=ttyAMA0 panic=-1 rdinit=/init quiet"),
    ]
    try:
        with theirs, console.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
    except OSError as error:
        ours.close()
        raise LabError(f"{program} cannot be started: {error}") from error
    return process, ours
