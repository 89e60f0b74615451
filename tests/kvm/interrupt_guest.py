"""A guest for a board with an interrupt controller, of either version, on either provider."""

from guestdbg.check import assembler as asm
from guestdbg.kvm.constants import KVM_SYSTEM_EVENT_SHUTDOWN
from guestdbg.kvm.exits import ExitSystemEvent
from guestdbg.machine import Board, Console

BASE = 0x4008_0000
VECTORS = BASE + 0x800
IRQ_AT_EL1 = 0x280
UART, GICD, GICC, GICR = 0x0900_0000, 0x0800_0000, 0x0801_0000, 0x080A_0000
UART_INTID = 33

# Offsets: PL011 (DDI 0183), distributor and CPU interface (IHI 0048, IHI 0069).
UARTIMSC, UARTICR = 0x38, 0x44
GICD_CTLR, GICD_IGROUPR, GICD_ISENABLER, GICD_ITARGETSR = 0, 0x80, 0x100, 0x800
GICC_CTLR, GICC_PMR, GICC_IAR, GICC_EOIR = 0, 4, 0xC, 0x10
TX = 0x20
_ISB, _WFI = 0xD5033FDF, 0xD503207F


def _store(address: int, value: int) -> list[object]:
    return [*asm.mov(1, address), *asm.mov(2, value), asm.access("strw", 2, 1)]


def _enable(version: int) -> list[object]:
    word, bit = UART_INTID // 32 * 4, 1 << UART_INTID % 32
    if version == 2:
        target = GICD + GICD_ITARGETSR + UART_INTID
        return [
            *_store(GICD + GICD_CTLR, 1),
            *asm.mov(1, target),
            *asm.mov(2, 1),
            asm.access("strb", 2, 1),
            *_store(GICD + GICD_ISENABLER + word, bit),
            *_store(GICC + GICC_PMR, 0xF0),
            *_store(GICC + GICC_CTLR, 1),
        ]
    return [
        *_store(GICD + GICD_CTLR, 0x12),
        *_store(GICD + GICD_IGROUPR + word, 0xFFFF_FFFF),
        *_store(GICD + GICD_ISENABLER + word, bit),
        *asm.mov(2, 0xF0),
        asm.msr("ICC_PMR_EL1", 2),
        *asm.mov(2, 1),
        asm.msr("ICC_IGRPEN1_EL1", 2),
        _ISB,
    ]


def _acknowledge(version: int) -> list[object]:
    if version == 2:
        return [*asm.mov(1, GICC), asm.access("ldrw", 3, 1, GICC_IAR)]
    return [asm.mrs(3, "ICC_IAR1_EL1")]


def _end(version: int) -> list[object]:
    if version == 2:
        return [*asm.mov(1, GICC), asm.access("strw", 3, 1, GICC_EOIR)]
    return [asm.msr("ICC_EOIR1_EL1", 3)]


def code(version: int) -> bytes:
    """It prints ``X``, takes the UART's transmit interrupt, prints its number, and powers off.

    The number is one byte. It waits for the interrupt with WFI. Before, it prints ``-``, or ``!``
    if the controller is not as after a reset: UART's interrupt is enabled already.
    """
    word = UART_INTID // 32 * 4
    handler = [
        *_acknowledge(version),
        *_store(UART + UARTICR, TX),
        *_store(UART + UARTIMSC, 0),
        *_end(version),
        *asm.mov(1, UART),
        asm.access("strw", 3, 1),
        *asm.mov(0, 0x8400_0008),
        asm.hvc(),
    ]
    program = [
        *asm.mov(0, VECTORS),
        asm.msr("VBAR_EL1", 0),
        *asm.mov(1, GICD + GICD_ISENABLER + word),
        asm.access("ldrw", 4, 1),
        *asm.mov(2, ord("-")),
        asm.cbz(4, "as after a reset"),
        *asm.mov(2, ord("!")),
        asm.label("as after a reset"),
        *asm.mov(1, UART),
        asm.access("strw", 2, 1),
        *_store(UART + UARTICR, TX),
        *_enable(version),
        *_store(UART + UARTIMSC, TX),
        *_store(UART, ord("X")),
        asm.daifclr(2),
        asm.label("wait"),
        _WFI,
        asm.b("wait"),
    ]
    return b"".join(
        b"".join(word.to_bytes(4, "little") for word in asm.assemble(at, *items).words).ljust(
            size, b"\0"
        )
        for at, items, size in (
            (BASE, program, VECTORS + IRQ_AT_EL1 - BASE),
            (VECTORS + IRQ_AT_EL1, handler, 0x80),
        )
    )


def outputs(board: Board, output: bytearray, runs: int = 2) -> list[bytes]:
    """What the guest prints, started ``runs`` times on one board."""
    assert board.gic is not None
    found = []
    for _ in range(runs):
        output.clear()
        board.write_phys(BASE, code(board.gic.version))
        board.start(BASE)
        exit_ = board.run(board.vcpus[0])
        assert isinstance(exit_, ExitSystemEvent), exit_
        assert exit_.type == KVM_SYSTEM_EVENT_SHUTDOWN
        found.append(bytes(output))
    return found


def console() -> tuple[Console, bytearray]:
    """A console, and where its output goes."""
    output = bytearray()
    return Console(output.extend), output
