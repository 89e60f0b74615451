"""The debugger's answers do not depend on the kernel version, whose pending steps differ."""

import struct
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

import guestdbg
from guestdbg.check import assembler as asm

CODE = 0x40080000
UART = 0x09000000

#: Instructions that a step executes in different ways: alone, after another exit of KVM's (a trap,
#: a hypercall, MMIO), in a run that ends before the step does (WFI).
WORDS = {
    "add": asm.add(0, 0, 1),
    "wfi": asm.WFI,
    "mmio load": asm.ldr(2, 1),
    "mmio store": asm.str_(31, 1),
    "trapped read": asm.mrs(3, "OSLSR_EL1"),
    "trapped write": asm.msr("OSLAR_EL1", 31),
    "debug register": asm.msr("DBGBVR1_EL1", 31),
    "hypercall": asm.hvc(),
    "watched store": asm.str_(0, 4),
}
STEP, STEP_3, RUN_TO_BREAKPOINT, WATCHED, MOVE = "step", "step 3", "run", "watched", "move"


def play(linux: str, names: Sequence[str], orders: Sequence[str]) -> list[tuple[object, ...]]:
    """The stops of a guest of these instructions, in a loop, under these orders."""
    words = [*(WORDS[name] for name in names), asm.b(-4 * len(names))]
    code = struct.pack(f"<{len(words)}I", *words)
    seen: list[tuple[object, ...]] = []
    with guestdbg.load(
        code, kind="raw", address=CODE, provider="soft", linux=linux, console=None
    ) as g:
        x = g.cpu.x
        x[0], x[1], x[2], x[3], x[4] = 0, UART + 0x18, 0, 0, CODE + 0x1000
        watch = None
        for order in orders:
            if order == STEP:
                stop = g.step(timeout=30)
            elif order == STEP_3:
                stop = g.step(3, timeout=30)
            elif order == RUN_TO_BREAKPOINT:
                point = g.break_(CODE + 4 * (len(names) // 2))(lambda hit: guestdbg.STOP)
                stop = g.run(max_instructions=200, timeout=30)
                point.delete()
            elif order == WATCHED:
                watch = watch or g.watch(CODE + 0x1000, 8)(lambda hit: guestdbg.STOP)
                stop = g.run(max_instructions=200, timeout=30)
            else:
                g.cpu.pc = CODE
                continue
            seen.append((stop.reason, g.cpu.pc, x[0], x[2], x[3]))
    return seen


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(WORDS)), min_size=1, max_size=6),
    st.lists(
        st.sampled_from([STEP, STEP, STEP_3, RUN_TO_BREAKPOINT, WATCHED, MOVE]),
        min_size=1,
        max_size=8,
    ),
)
@example(["wfi", "add", "add"], [STEP, STEP, RUN_TO_BREAKPOINT, STEP])
@example(["add", "wfi", "add"], [STEP_3, RUN_TO_BREAKPOINT, STEP, STEP])
@example(["mmio load", "add", "add"], [STEP, RUN_TO_BREAKPOINT, STEP])
def test_the_same_stops(names: list[str], orders: list[str]) -> None:
    assert play("6.1", names, orders) == play("6.14", names, orders)
