"""QEMU emulates the lab's machine: an arm64 processor with EL2, so that its kernel has KVM."""

import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from guestdbg.lab.errors import LabError
from guestdbg.lab.inside.port import NAME

PROGRAM = "qemu-system-aarch64"

#: pauth-impdef: QEMU's own algorithm for pointer authentication is much faster than Arm's.
#: sve=off: before QEMU 8.1, a vector store over code (as memcpy makes them) invalidated the
#: translated code of its first byte only, so a guest could run the code of an earlier guest that
#: had been in the same memory.
_VHE = "max,pauth-impdef=on,sve=off"
#: The first kernel that does not run guests on QEMU's Cortex-A57; see ``processor``.
_NEEDS_A72 = (6, 14)

# arm64's COMMAND_LINE_SIZE, less the lab's own arguments.
_MOST_ARGUMENTS = 1900
_PROPERTY = re.compile(r"([A-Za-z][A-Za-z0-9._-]*)=[^\s,=]+")
_OWN_PROPERTIES = ("type", "virtualization", "gic-version")
_SECONDS = 30
#: The lab's own arguments for the kernel. All of its messages go to the console, from the first one
#: on (earlycon), so that a boot that fails can be understood. That costs a tenth of a second.
_ARGUMENTS = "earlycon console=ttyAMA0 panic=-1 rdinit=/init"


@dataclass(frozen=True)
class MachineOptions:
    """The options of the lab's machine.

    ``memory`` is in MiB. ``cpu`` is QEMU's name of a processor, or "nvhe" or "vhe". ``gic`` is the
    version of the interrupt controller, 2 or 3. ``append`` is added to the kernel's arguments, and
    ``machine`` (such as "secure=on") to QEMU's ``-machine virt``. ``qemu`` is the QEMU to run, a
    path or a name; None means qemu-system-aarch64. Raises LabError for values that are not
    possible.
    """

    cpu: str = "nvhe"
    smp: int = 1
    memory: int = 1024
    gic: int = 3
    append: str = ""
    machine: str = ""
    qemu: str | Path | None = None

    def __post_init__(self) -> None:
        if self.gic not in (2, 3):
            raise LabError(f"gic={self.gic}: it must be version 2 or version 3")
        if not 1 <= self.smp <= (8 if self.gic == 2 else 64):
            most = 8 if self.gic == 2 else 64
            raise LabError(f"smp={self.smp}: a GICv{self.gic} machine has 1 to {most} processors")
        if not 512 <= self.memory <= 65536:
            raise LabError(f"memory={self.memory}: it must be 512 to 65536 MiB")
        if not self.cpu or not self.cpu.isprintable() or " " in self.cpu:
            raise LabError(f"cpu={self.cpu!r}: it must be nvhe, vhe, or QEMU's name of a processor")
        if len(self.append.encode()) > _MOST_ARGUMENTS:
            raise LabError(f"append: the kernel accepts at most {_MOST_ARGUMENTS} bytes")
        if not self.append.isprintable():
            raise LabError(f"append={self.append!r}: a kernel's arguments are one line of text")
        for item in self.machine.split(",") if self.machine else []:
            found = _PROPERTY.fullmatch(item)
            if found is None:
                raise LabError(
                    f"machine={self.machine!r}: it must be NAME=VALUE,... as in secure=on,mte=on"
                )
            if found[1] in _OWN_PROPERTIES:
                raise LabError(f"machine={self.machine!r}: the lab itself sets {found[1]}")


def processor(cpu: str, release: str) -> str:
    """QEMU's ``-cpu`` for "nvhe" and "vhe" (KVM's modes), or ``cpu`` itself.

    "nvhe" depends on the kernel's release. Cortex-A57 has erratum 834220: after a translation
    fault at stage 2, HPFAR_EL2 may be wrong, and the workaround asks the MMU (AT S1E1R) for the
    address instead. Newer kernels do that also if the fault was on a page table of stage 1
    (ESR_EL2.S1PTW, __hpfar_valid in fault.h): the AT instruction then faults on the same page
    table, and KVM returns to the guest with nothing done, forever. Cortex-A72 has no such erratum
    and the same numbers of debug registers.
    """
    if cpu == "vhe":
        return _VHE
    if cpu == "nvhe":
        return "cortex-a72" if _version(release) >= _NEEDS_A72 else "cortex-a57"
    return cpu


def _version(release: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def find(qemu: str | Path | None = None) -> str:
    """The path of QEMU. Raises LabError if there is none, or if ``qemu`` cannot be run."""
    path = shutil.which(PROGRAM if qemu is None else qemu)
    if qemu is not None:
        return _checked(str(qemu), path)
    if path is None:
        raise LabError(
            f"the lab runs in QEMU, and {PROGRAM} is not installed; "
            "on Debian or Ubuntu: apt-get install qemu-system-arm"
        )
    return path


def _checked(name: str, path: str | None) -> str:
    """The absolute ``path`` of a QEMU that was asked for, if it runs and is one for arm64."""
    if path is None:
        found = Path(name)
        what = "is not there"
        if found.is_dir():
            what = "is a directory"
        elif found.exists():
            what = "is not executable"
        raise LabError(f"qemu={name}: this QEMU {what}")
    command = [path, "-machine", "help"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"qemu={name}: it did not answer within {_SECONDS} seconds") from error
    except OSError as error:
        raise LabError(f"qemu={name}: it cannot be started: {error.strerror}") from error
    if done.returncode or not re.search(rb"^virt\s", done.stdout, re.MULTILINE):
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()[-500:]
        raise LabError(
            f"qemu={name}: this is no QEMU for arm64, or it does not run: `-machine help` "
            f"does not list the machine virt\n{said}".rstrip()
        )
    return str(Path(path).absolute())


def start(
    program: str, machine: MachineOptions, release: str, kernel: Path, initrd: Path, console: Path
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Starts QEMU. The socket is the host's end of the channel to the agent in the lab.

    ``program`` is what ``find`` returned, ``release`` is the kernel's, such as
    "6.1.0-56-cloud-arm64". The kernel's console goes to the file ``console``, so that its messages
    do not get into the output of commands. QEMU leads a process group of its own.
    """
    host_end, lab_end = socket.socketpair()
    properties = [f"gic-version={machine.gic}", *([machine.machine] if machine.machine else [])]
    command = [
        program,
        *("-machine", ",".join(["virt,virtualization=on", *properties])),
        *("-cpu", processor(machine.cpu, release)),
        *("-smp", str(machine.smp), "-m", str(machine.memory)),
        *("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-global", "virtio-mmio.force-legacy=false"),
        *("-chardev", f"socket,id=lab,fd={lab_end.fileno()}"),
        *("-device", "virtio-serial-device"),
        *("-device", f"virtserialport,chardev=lab,name={NAME}"),
        *("-kernel", str(kernel), "-initrd", str(initrd)),
        *("-append", f"{_ARGUMENTS} {machine.append}".rstrip()),
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
