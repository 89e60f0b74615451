"""Runs in the lab: makes one measurement and prints it as one line of JSON.

python -m bench.host.in_lab exits N ROUNDS PROGRAM | stops N | gdb_stops N
"""

import json
import mmap
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import repeat
from pathlib import Path
from subprocess import PIPE

import guestdbg
from bench import gdb_client, loop_guest, python_api, qemu
from bench.measurements import qemu_gdb_stops_per_second
from guestdbg.kvm import Exit, ExitDebug, GuestDebug, open_kvm
from guestdbg.kvm.constants import KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP
from guestdbg.kvm.regs import core_reg

RAM = 0x40000000
SPIN = 0x14000000  # b .
STEP = GuestDebug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)
_STEPPED = 0xCB000022


def exits(count: int, rounds: int, program: str) -> dict[str, list[float]]:
    """Nanoseconds for one single step with its exit, in Python and in C.

    They alternate, with ``count`` exits in each turn, so that other load affects both.
    """
    found: dict[str, list[float]] = {"c": [], "python": []}
    memory = mmap.mmap(-1, 1 << 16)
    memory[:4] = SPIN.to_bytes(4, "little")
    with (
        subprocess.Popen([program], stdin=PIPE, stdout=PIPE, text=True) as rival,
        open_kvm("host") as kvm,
        kvm.create_vm() as vm,
    ):
        assert rival.stdin is not None
        assert rival.stdout is not None
        vm.set_user_memory_region(0, RAM, memory)
        vcpu = vm.create_vcpu()
        vcpu.init(vm.preferred_target())
        vcpu.set_one_reg(core_reg("pc"), RAM)
        vcpu.set_guest_debug(STEP)
        for _ in range(rounds):
            print(count, file=rival.stdin, flush=True)
            found["c"].append(float(rival.stdout.readline()))
            found["python"].append(python_loop(vcpu.run, count))
    return found


def python_loop(run: Callable[[], Exit], count: int) -> float:
    """Nanoseconds for each of ``count`` calls, with the smallest loop that Python has."""
    debug = ExitDebug
    start = time.perf_counter_ns()
    for _ in repeat(None, count):
        exit_ = run()
        if exit_.__class__ is not debug:
            raise RuntimeError(f"a step ended with {exit_}")
    each = (time.perf_counter_ns() - start) / count
    if exit_ != ExitDebug(_STEPPED):
        raise RuntimeError(f"a step ended with {exit_}")
    return each


def stops(count: int) -> dict[str, float]:
    """Watchpoint hits per second with a Python handler; the guest continues after each."""
    seen = 0

    def handler(hit: guestdbg.Hit) -> object:
        nonlocal seen
        seen += 1
        return guestdbg.STOP if seen > count else None

    with python_api.loop(1 << 40) as guest:
        if guest.board.kvm.provider != "host":
            raise RuntimeError("this is not the host provider")
        guest.watch(loop_guest.DATA, 8, access="write")(handler)
        start = time.perf_counter()
        stop = guest.run(timeout=python_api.LIMIT_SECONDS)
        seconds = time.perf_counter() - start
        written = guest.read_u64(loop_guest.DATA)
    if stop.reason != "hit" or written != seen or seen != count + 1:
        raise RuntimeError(f"{seen} stops, {written} writes, then {stop}")
    return {"per_second": seen / seconds}


def gdb_stops(count: int) -> dict[str, float]:
    """The same with GDB, on a QEMU that uses this KVM."""
    return {
        "per_second": gdb_client.per_second(qemu_gdb_stops_per_second.SCRIPT, _on_kvm, STOPS=count)
    }


def _on_kvm(kernel: Path) -> AbstractContextManager[Path]:
    return qemu.stopped(kernel, "-accel", "kvm", "-cpu", "host", "-M", "gic-version=host")


def _measure(what: str, number: int, *rest: str) -> object:
    if what == "exits":
        return exits(number, int(rest[0]), rest[1])
    return {"stops": stops, "gdb_stops": gdb_stops}[what](number)


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])))
