"""Linux booted with points armed on what the boot uses all the time, none of which is hit.

`linux_guest` starts this as a process of its own, which imports nothing but guestdbg.

Breakpoints are on pages of busy code. The watchpoints are on the task and the kernel stack of the
first process, from its first instruction on; but only for accesses from EL0, which has none to the
kernel. Addresses are given as numbers, because to read the kernel's table of names takes a time of
its own, armed or not.
"""

import gc
import os
import sys

import guestdbg


def main() -> None:
    """Arguments: kernel, initrd, bootargs, memory, prompt, what is typed there; then addresses.

    The first address is the function in which the first process starts, the others are functions
    that the boot does not call.
    """
    kernel, initrd, bootargs, memory, prompt, typed, *addresses = sys.argv[1:]
    # As the command does, which this is compared with: the collector finds nothing in modules.
    gc.disable()
    load = guestdbg.load  # the first use imports the debugger
    gc.freeze()
    gc.enable()

    def console(data: bytes) -> None:
        os.write(1, data)

    guest = load(
        kernel,
        initrd=initrd,
        bootargs=bootargs,
        memory=memory,
        provider="soft",
        console=console,
    )
    guest.board.console.answer(prompt.encode(), typed.encode())
    start, *functions = (int(address, 0) for address in addresses)
    never: list[guestdbg.Point] = [guest.break_(address) for address in functions]
    first = guest.break_(start)
    stop = guest.run()
    assert stop.hit is not None
    first.delete()
    task, stack = stop.cpu.reg("SP_EL0"), stop.cpu.reg("sp") & ~0xFFF
    never += [guest.watch(task, 8, "any", el="el0"), guest.watch(task + 16, 8, "any", el="el0")]
    never += [guest.watch(stack, 64, "any", el="el0")]
    stop = guest.run()
    assert stop.reason == "exit", stop
    assert not any(point.seen for point in never)


if __name__ == "__main__":
    main()
