"""Firmware that starts Linux from a disk: U-Boot, and EDK2 by the kernel's EFI stub."""

from pathlib import Path

import pytest

import guestdbg
from tests.linux.fat import fat16
from tests.linux.support import BOOTARGS, INSTRUCTIONS_MAX, Run, commands, linux
from tests.machine.guests import EDK2, U_BOOT

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")


def boot(firmware: Path, disk: Path, dialogue: list[tuple[bytes, bytes]], **options: object) -> Run:
    output = bytearray()
    with guestdbg.load(
        firmware,
        kind="firmware",
        provider="soft",
        memory="512M",
        drives=[f"{disk},overlay"],
        console=output.extend,
        **options,
    ) as guest:
        for expected, reply in dialogue:
            guest.board.console.answer(expected, reply)
        return Run(guest.run(max_instructions=INSTRUCTIONS_MAX), bytes(output), 0)


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk with the kernel and its initrd."""
    found = linux()
    kernel, initrd = found.kernel.read_bytes(), found.initrd.read_bytes()
    path = tmp_path_factory.mktemp("disk") / "disk.img"
    path.write_bytes(fat16({"vmlinuz.efi": kernel, "initrd": initrd}))
    return path


def check(run: Run) -> None:
    assert run.stop.detail == "powered off", run.text
    assert run.answer("uname -r") == f"{linux().release}\n"


@pytest.mark.skipif(not U_BOOT.is_file(), reason=f"no {U_BOOT}: install Debian's u-boot-qemu")
def test_uboot_starts_the_kernel_from_a_disk(disk: Path) -> None:
    prompt = b"\n=> "
    lines = (
        b"virtio scan",
        b"load virtio 0 0x42000000 vmlinuz.efi",
        b"load virtio 0 0x48000000 initrd",
        f"setenv bootargs {BOOTARGS}".encode(),
        b"booti 0x42000000 0x48000000:${filesize} ${fdtcontroladdr}",
    )
    dialogue = [(b"Hit any key to stop autoboot", b"\r"), *((prompt, x + b"\r") for x in lines)]
    check(boot(U_BOOT, disk, [*dialogue, *commands(b"uname -r")]))


@pytest.mark.skipif(not EDK2.is_file(), reason=f"no {EDK2}: install Debian's qemu-efi-aarch64")
def test_edk2_starts_the_kernel_by_its_efi_stub(disk: Path) -> None:
    """From the UEFI shell. A key ends its wait for a script, of five seconds."""
    start = f"FS0:\\vmlinuz.efi initrd=\\initrd {BOOTARGS}\r".encode()
    dialogue = [(b"to skip", b"\x1b"), (b"Shell> ", start)]
    run = boot(EDK2, disk, [*dialogue, *commands(b"uname -r", b"dmesg")])
    assert "UEFI Interactive Shell" in run.text
    assert "efi: EFI v2" in run.answer("dmesg")
    check(run)
