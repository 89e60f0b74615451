"""run(): MMIO, immediate exit, debug exits, several vCPUs."""

import errno

from guestdbg.check import assembler as asm
from guestdbg.kvm import (
    ExitArmNisv,
    ExitDebug,
    ExitIntr,
    ExitMmio,
    ExitSystemEvent,
    GuestDebug,
    SupportsCodeChanged,
)
from guestdbg.kvm.constants import (
    KVM_CAP_ARM_NISV_TO_USER,
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
    KVM_MP_STATE_STOPPED,
    KVM_SYSTEM_EVENT_RESET,
    KVM_SYSTEM_EVENT_SHUTDOWN,
)
from guestdbg.kvm.regs import core_reg

from .rig import DONE, NOWHERE, RAM, SIZE, Rig, Runner, case, refused

STEP = GuestDebug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)
_HW = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW
_PSCI_CPU_ON, _PSCI_OFF, _PSCI_RESET = 0xC4000003, 0x84000008, 0x84000009


# No signed loads: QEMU 7.2, which is the hardware of a lab, leaves SSE (ISS bit 21) out of the
# syndrome, so the kernel does not know of the sign.
@case
def reads_are_answered() -> None:
    address = asm.mov(1, NOWHERE)
    with Rig(*address, asm.ldr(0, 1, 8), asm.access("ldrb", 2, 1, 3), asm.ldr(3, 1), *DONE) as rig:
        vcpu = rig.vcpu
        assert vcpu.run() == ExitMmio(NOWHERE + 8, bytes(8), 8, False)
        with refused(errno.EINVAL, "4 bytes answer a read of 8"):
            vcpu.complete_mmio(bytes(4))
        vcpu.complete_mmio(b"guestdbg")
        assert vcpu.run() == ExitMmio(NOWHERE + 3, b"\0", 1, False)
        vcpu.complete_mmio(b"\x80")
        assert vcpu.run() == ExitMmio(NOWHERE, bytes(8), 8, False)
        # not answered: zero, not what the page held before
        assert vcpu.run() == ExitMmio(NOWHERE, NOWHERE.to_bytes(8, "little"), 8, True)
        with refused(errno.EINVAL, "no MMIO read"):
            vcpu.complete_mmio(bytes(8))
        assert rig.get("x0") == int.from_bytes(b"guestdbg", "little")
        assert rig.get("x2") == 0x80
        assert rig.get("x3") == 0


@case
def immediate_exit_completes_and_stays_out() -> None:
    with Rig(*asm.mov(1, NOWHERE), asm.ldr(0, 1), *asm.mov(5, 5), *DONE) as rig:
        vcpu = rig.vcpu
        vcpu.run()
        vcpu.complete_mmio(b"\x11" * 8)
        vcpu.immediate_exit = True
        assert vcpu.immediate_exit
        assert vcpu.run() == ExitIntr()
        assert rig.get("x0") == 0x1111111111111111
        assert rig.get("x5") == 0
        assert vcpu.run() == ExitIntr()
        vcpu.immediate_exit = False
        assert isinstance(vcpu.run(), ExitMmio)
        assert rig.get("x5") == 5


@case
def accesses_that_the_syndrome_does_not_describe() -> None:
    pair = (*asm.mov(1, NOWHERE), asm.ldp(2, 3, 1), *DONE)
    with Rig(*pair) as rig, refused(errno.ENOSYS, "KVM_CAP_ARM_NISV_TO_USER"):
        rig.vcpu.run()
    with Rig(*pair) as rig:
        rig.vm.enable_cap(KVM_CAP_ARM_NISV_TO_USER)
        exit_ = rig.vcpu.run()
        assert isinstance(exit_, ExitArmNisv), exit_
        assert exit_.fault_ipa & ~0xFFF == NOWHERE
        rig.set("pc", rig.get("pc") + 4)
        assert isinstance(rig.vcpu.run(), ExitMmio)


@case
def read_only_memory() -> None:
    """Reads go through, writes come out, and the memory stays as it is."""
    with Rig(*asm.mov(1, 0x50000000), asm.ldr(0, 1), asm.str_(1, 1), asm.ldr(2, 1), *DONE) as rig:
        import mmap

        rom = mmap.mmap(-1, 1 << 16)
        rom[:8] = b"read me!"
        rig.vm.set_user_memory_region(1, 0x50000000, rom, 2)
        assert rig.vcpu.run() == ExitMmio(0x50000000, (0x50000000).to_bytes(8, "little"), 8, True)
        assert isinstance(rig.vcpu.run(), ExitMmio)
        assert rig.get("x0") == rig.get("x2") == int.from_bytes(b"read me!", "little")
        assert rom[:8] == b"read me!"
        rig.vm.close()
        rom.close()


@case
def stops_and_steps() -> None:
    """A breakpoint, a watchpoint and steps; alike stops are one object."""
    program = (*asm.mov(1, RAM + 0x1000), asm.label("again"), asm.str_(0, 1), asm.add(0, 0, 1))
    code = asm.assemble(RAM, *program, asm.b("again"))
    with Rig(*code.words) as rig:
        vcpu, store = rig.vcpu, code["again"]
        watch = GuestDebug(_HW, dbg_wcr=(0x1FF7,), dbg_wvr=(RAM + 0x1000,))
        both = GuestDebug(_HW, (0x1E7,), (store + 4,), (0x1FF7,), (RAM + 0x1000,))
        vcpu.set_guest_debug(watch)
        for n in range(3):
            exit_ = vcpu.run()
            assert isinstance(exit_, ExitDebug), exit_
            assert (exit_.ec, exit_.far) == (0x34, RAM + 0x1000)
            assert (rig.get("pc"), rig.word(RAM + 0x1000)) == (store, max(n - 1, 0))
            vcpu.set_guest_debug(STEP)
            stepped = vcpu.run()
            assert isinstance(stepped, ExitDebug)
            assert (stepped.ec, stepped.far) == (0x32, None)
            assert rig.word(RAM + 0x1000) == n
            vcpu.set_guest_debug(watch)
        vcpu.set_guest_debug(both)
        exit_ = vcpu.run()
        assert isinstance(exit_, ExitDebug)
        # The step ended after the store, at the breakpoint.
        assert exit_.ec == 0x30
        assert vcpu.run() is exit_


@case
def code_that_userspace_changes() -> None:
    """An instruction that has been executed is another one after code_changed."""
    with Rig(asm.add(0, 0, 1), *DONE, asm.b(-4 * len(DONE) - 4)) as rig:
        vm = rig.vm
        if not isinstance(vm, SupportsCodeChanged):
            return  # the processor's caches do not let it be done: docs/kvm-api.md
        for n in range(1, 20):
            rig.memory[:4] = asm.add(0, 0, n).to_bytes(4, "little")
            vm.code_changed(RAM, 4)
            assert isinstance(rig.vcpu.run(), ExitMmio)
            assert rig.get("x0") == n * (n + 1) // 2
        vm.code_changed(RAM - 0x1000, SIZE + 0x2000)  # what is not memory does not matter
        vm.code_changed(NOWHERE, 4)


@case
def memory_used_again_has_its_own_code() -> None:
    """A machine of before had other code at the same place, often in the same host memory."""
    nops = (0xD503201F,) * 3
    for n in range(1, 8):
        with Rig(*nops, *asm.mov(5, n), *DONE) as rig:
            rig.set("pc", RAM + 4 * len(nops))
            assert isinstance(rig.vcpu.run(), ExitMmio)
            assert rig.get("x5") == n, (n, rig.get("x5"))


@case
def system_events() -> None:
    for function, event in (
        (_PSCI_OFF, KVM_SYSTEM_EVENT_SHUTDOWN),
        (_PSCI_RESET, KVM_SYSTEM_EVENT_RESET),
    ):
        with Rig(*asm.mov(0, function), asm.hvc()) as rig:
            exit_ = rig.vcpu.run()
            assert isinstance(exit_, ExitSystemEvent), exit_
            assert exit_.type == event
            # Initialised again, it starts again.
            rig.vcpu.init(rig.init)
            rig.set("pc", RAM)
            assert isinstance(rig.vcpu.run(), ExitSystemEvent)


@case
def one_vcpu_powers_another_on() -> None:
    """Each in a thread; the second waits in the kernel until it is powered on."""
    code = asm.assemble(
        RAM,
        *asm.mov(0, _PSCI_CPU_ON),
        *asm.mov(1, 1),
        asm.adr(2, 0x100),
        *asm.mov(3, 42),
        asm.hvc(),
        *DONE,
    )
    with Rig(*code.words, vcpus=2) as rig:
        first, second = rig.vcpus
        assert second.get_mp_state() == KVM_MP_STATE_STOPPED
        entry = RAM + 4 * code.words.index(asm.adr(2, 0x100)) + 0x100
        done = b"".join(word.to_bytes(4, "little") for word in DONE)
        rig.memory[entry - RAM : entry - RAM + len(done)] = done
        runner = Runner(second)
        runner.wait_until_inside()
        assert isinstance(first.run(), ExitMmio)
        assert isinstance(runner.result(), ExitMmio)
        assert second.get_one_reg(core_reg("x0")) == 42
        assert first.get_one_reg(core_reg("x0")) == 0
        assert [vcpu.id for vcpu in rig.vm.vcpus] == [0, 1]
