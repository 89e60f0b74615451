"""QEMU from the start of its process to U-Boot's prompt."""

from bench import qemu, uboot_prompt
from bench.measurement import Measurement


def run() -> float:
    program = qemu.program(qemu.QEMU)
    return uboot_prompt.seconds([program, *qemu.MACHINE, "-bios", uboot_prompt.firmware()])


MEASUREMENT = Measurement(
    "qemu_uboot_seconds",
    "s",
    "QEMU TCG: U-Boot, start of the process to the prompt",
    run,
    summary="median",
    better="less",
)
