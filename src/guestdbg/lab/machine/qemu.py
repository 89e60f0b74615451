"""QEMU emulates the lab's machine: an arm64 processor with EL2, so that its kernel has KVM."""

import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from guestdbg.lab.errors import LabError
from guestdbg.lab.inside.port import NAME

PROGRAM = "qemu-system-aarch64"

#: The processors, by the mode in which KVM runs on them: without and with the Virtualization Host
#: Extensions. pauth-impdef: QEMU's own algorithm for pointer authentication is much faster than
#: Arm's. sve=off: before QEMU 8.1, a vector store over code (as memcpy makes them) invalidated the
#: translated code of its first byte only, so a guest could run the code of an earlier guest that
#: had been in the same memory.
CPUS = {"nvhe": "cortex-a57", "vhe": "max,pauth-impdef=on,sve=off"}


@dataclass(frozen=True)
class MachineOptions:
    """The options of the lab's machine.

    ``memory`` is in MiB. ``cpu`` is QEMU's name of a processor, or "nvhe" or "vhe". ``gic`` is the
    version of the interrupt controller, 2 or 3. Raises LabError for values that are not possible.
    """

    cpu: str = "nvhe"
    smp: int = 1
    memory: int = 1024
    gic: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.smp <= (8 if self.gic == 2 else 64):
            most = 8 if self.gic == 2 else 64
            raise LabError(f"smp={self.smp}: a GICv{self.gic} machine has 1 to {most} processors")
        if not 512 <= self.memory <= 65536:
            raise LabError(f"memory={self.memory}: it must be 512 to 65536 MiB")
        if self.gic not in (2, 3):
            raise LabError(f"gic={self.gic}: it must be version 2 or version 3")


def find() -> str:
    """The path of QEMU. Raises LabError, which says what to install, if there is none."""
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
    """Starts QEMU. The socket is the host's end of the channel to the agent in the lab.

    The kernel's console goes to the file ``console``, so that its messages do not get into the
    output of commands.
    """
    program = find()
    host_end, lab_end = socket.socketpair()
    command = [
        program,
        *("-machine", f"virt,virtualization=on,gic-version={machine.gic}"),
        *("-cpu", CPUS.get(machine.cpu, machine.cpu)),
        *("-smp", str(machine.smp), "-m", str(machine.memory)),
        *("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-global", "virtio-mmio.force-legacy=false"),
        *("-chardev", f"socket,id=lab,fd={lab_end.fileno()}"),
        *("-device", "virtio-serial-device"),
        *("-device", f"virtserialport,chardev=lab,name={NAME}"),
        *("-kernel", str(kernel), "-initrd", str(initrd)),
        *("-append", "console=ttyAMA0 panic=-1 rdinit=/init quiet"),
    ]
    try:
        with lab_end, console.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lab_end.fileno(),),
                start_new_session=True,
            )
    except OSError as error:
        host_end.close()
        raise LabError(f"{program} cannot be started: {error}") from error
    return process, host_end
