"""Small experiments with a vCPU, whose outcome is the same on every KVM of one lineage.

Each takes a fresh ``Machine`` (a megabyte of memory at RAM, one vCPU) and returns what it saw, as
plain values that JSON can hold. They know nothing of the provider under the machine.
"""

from collections.abc import Callable
from typing import Any, Protocol

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.check import assembler as asm

RAM = 0x40000000
DATA = RAM + 0x10000
VECTORS = RAM + 0x8000
#: No memory is here: a store to it ends an experiment.
NOWHERE = 0x09000000

ENABLE, STEP = 1, 3
HW = 1 | 1 << 17
BREAK, WATCH_STORE, WATCH_LOAD = 0x1E7, 0x1FF7, 0x1FEF

Seen = Any


class Machine(Protocol):
    """What an experiment may do."""

    def place(self, address: int, words: list[int]) -> None: ...
    def get(self, reg_id: int) -> int: ...
    def set(self, reg_id: int, value: int) -> None: ...
    def core(self, name: str) -> int: ...
    def set_core(self, name: str, value: int) -> None: ...
    def reg(self, name: str) -> int: ...
    def set_reg(self, name: str, value: int) -> None: ...
    def debug(
        self,
        control: int,
        bcr: tuple[int, ...] = (),
        bvr: tuple[int, ...] = (),
        wcr: tuple[int, ...] = (),
        wvr: tuple[int, ...] = (),
    ) -> None: ...
    def nisv_to_user(self) -> None: ...
    def external_abort(self) -> None: ...
    def mp_state(self) -> int: ...
    def cap(self, cap: int) -> int: ...
    def run(self) -> Seen:
        """The exit as [reason, ...], or ["errno", n]."""


Scenario = Callable[[Machine], Seen]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def named(name: str) -> Callable[[Scenario], Scenario]:
    def register(function: Scenario) -> Scenario:
        SCENARIOS[name] = function
        return function

    return register


def code(m: Machine, *words: int | list[int]) -> None:
    """Put the words at RAM and the PC at the first."""
    m.place(RAM, asm.flat(*words))
    m.set_core("pc", RAM)


def end(register: int = 31) -> list[int]:
    """A store of the register to NOWHERE."""
    return asm.flat(asm.mov(28, NOWHERE), asm.str_(register, 28))


def tell_esr(m: Machine) -> None:
    """Exception vectors that store ESR_EL1 to NOWHERE."""
    for offset in (0x200, 0x400):
        m.place(VECTORS + offset, asm.flat(asm.mrs(29, "ESR_EL1"), end(29)))
    m.set_reg("VBAR_EL1", VECTORS)


def here(m: Machine) -> str:
    return hex(m.core("pc"))


def attempt(what: Callable[[], object]) -> Seen:
    """What a call answered: its errno, if it was refused."""
    try:
        what()
    except OSError as error:
        return error.errno
    return "done"


# -- stepping -----------------------------------------------------------------------------------


@scenario
def step_over_a_trapped_register(m: Machine) -> Seen:
    code(m, asm.mrs(2, "OSLSR_EL1"), asm.add(0, 0, 1))
    m.debug(STEP)
    first = [m.run(), here(m), m.core("x2"), m.core("x0")]
    return [first, m.run(), here(m), m.core("x0")]


@scenario
def step_over_hvc(m: Machine) -> Seen:
    code(m, asm.hvc(), asm.NOP)
    m.set_core("x0", 0x84000000)
    m.debug(STEP)
    return [m.run(), here(m), hex(m.core("x0"))]


@scenario
def step_over_an_access_outside_memory(m: Machine) -> Seen:
    code(m, asm.ldr(0, 1), asm.add(2, 2, 1))
    m.set_core("x1", NOWHERE)
    m.debug(STEP)
    return [m.run(), m.run(), here(m), m.core("x2")]


def _step_into(m: Machine, word: int) -> Seen:
    tell_esr(m)
    code(m, word)
    m.debug(STEP)
    return [m.run(), here(m), hex(m.core("spsr[0]")), hex(m.reg("ESR_EL1"))]


for _name, _word in (
    ("undefined", 0),
    ("svc", asm.svc(3)),
    ("trapped_undefined", asm.mrs(1, "PMCR_EL0")),
):
    named(f"step_into_{_name}")(lambda m, word=_word: _step_into(m, word))


@scenario
def step_over_brk(m: Machine) -> Seen:
    code(m, asm.brk(3))
    m.debug(STEP)
    return [m.run(), here(m)]


@scenario
def step_into_nothing(m: Machine) -> Seen:
    tell_esr(m)
    code(m, asm.br(1))
    m.set_core("x1", NOWHERE)
    m.debug(STEP)
    return [m.run(), here(m), m.run(), here(m), hex(m.core("spsr[0]"))]


@scenario
def step_into_el0_and_back(m: Machine) -> Seen:
    tell_esr(m)
    m.place(RAM + 0x100, [asm.add(5, 5, 1), asm.svc(1)])
    code(m, asm.msr("SPSR_EL1", 31), asm.ERET)
    m.set_core("elr_el1", RAM + 0x100)
    m.debug(STEP)
    return [[m.run(), here(m)] for _ in range(6)] + [hex(m.core("spsr[0]"))]


# -- breakpoints and watchpoints ------------------------------------------------------------------


@scenario
def breakpoint_at_el1(m: Machine) -> Seen:
    code(m, asm.NOP, asm.NOP)
    m.debug(HW, (BREAK,), (RAM + 4,))
    return [m.run(), here(m)]


@scenario
def watchpoint_on_a_store(m: Machine) -> Seen:
    code(m, asm.NOP, asm.str_(0, 1))
    m.set_core("x1", DATA)
    m.debug(HW, wcr=(WATCH_STORE,), wvr=(DATA,))
    return [m.run(), here(m)]


@scenario
def watchpoint_on_a_load(m: Machine) -> Seen:
    code(m, asm.NOP, asm.ldr(0, 1))
    m.set_core("x1", DATA)
    m.debug(HW, wcr=(WATCH_LOAD,), wvr=(DATA,))
    return [m.run(), here(m)]


@scenario
def watchpoint_on_the_upper_half(m: Machine) -> Seen:
    code(m, asm.str_(0, 1))
    m.set_core("x1", DATA)
    m.debug(HW, wcr=(0x1E17,), wvr=(DATA,))
    return m.run()


@scenario
def watchpoint_on_256_bytes(m: Machine) -> Seen:
    code(m, asm.str_(0, 1))
    m.set_core("x1", DATA + 0xA8)
    m.debug(HW, wcr=(WATCH_STORE | 8 << 24,), wvr=(DATA,))
    return m.run()


@scenario
def step_off_a_watchpoint(m: Machine) -> Seen:
    code(m, asm.str_(0, 1), asm.b(-4))
    m.set_core("x1", DATA)
    seen = []
    for _ in range(2):
        m.debug(HW, wcr=(WATCH_STORE,), wvr=(DATA,))
        seen.append([m.run(), here(m)])
        m.debug(STEP)
        seen.append([m.run(), here(m)])
    return seen


@scenario
def step_and_watchpoint_together(m: Machine) -> Seen:
    code(m, asm.NOP, asm.str_(0, 1), asm.NOP)
    m.set_core("x1", DATA)
    m.debug(STEP | HW, wcr=(WATCH_STORE,), wvr=(DATA,))
    return [m.run(), m.run(), here(m)]


@scenario
def step_and_breakpoint_together(m: Machine) -> Seen:
    code(m, asm.NOP, asm.NOP, asm.NOP)
    m.debug(STEP | HW, (BREAK,), (RAM + 4,))
    return [m.run(), m.run(), here(m)]


for _control in (ENABLE, ENABLE | 1 << 16):

    @named(f"brk_with_control_{_control:#x}")
    def _brk(m: Machine, control: int = _control) -> Seen:
        code(m, asm.brk(0x123))
        m.debug(control)
        return [m.run(), here(m)]


@scenario
def os_lock_does_not_bind_the_host(m: Machine) -> Seen:
    code(m, asm.mov(2, 1), asm.msr("OSLAR_EL1", 2), asm.NOP, asm.str_(0, 1))
    m.set_core("x1", DATA)
    m.debug(HW, (BREAK,), (RAM + 8,), (WATCH_STORE,), (DATA,))
    first = m.run()
    m.debug(HW, wcr=(WATCH_STORE,), wvr=(DATA,))
    return [first, m.run(), hex(m.reg("OSLSR_EL1"))]


for _control in (0, 2, 3, 4, 1 << 16, 1 << 18, 1 << 31):

    @named(f"set_guest_debug_{_control:#x}")
    def _debug(m: Machine, control: int = _control) -> Seen:
        return attempt(lambda: m.debug(control))


# -- the guest's own debugging --------------------------------------------------------------------


def own_breakpoint(m: Machine) -> None:
    """The guest arms a breakpoint at RAM + 0x100 and goes there."""
    m.place(RAM + 0x100, asm.flat(asm.mrs(5, "DBGBVR0_EL1"), asm.mrs(6, "MDSCR_EL1"), end(5)))
    code(
        m,
        asm.mov(2, RAM + 0x100),
        asm.msr("DBGBVR0_EL1", 2),
        asm.mov(3, BREAK),
        asm.msr("DBGBCR0_EL1", 3),
        asm.mov(4, 0xA000),
        asm.msr("MDSCR_EL1", 4),
        asm.ISB,
        asm.br(2),
    )
    m.set_core("pstate", 0x1C5)


@scenario
def own_breakpoint_without_the_host(m: Machine) -> Seen:
    tell_esr(m)
    own_breakpoint(m)
    return m.run()


@scenario
def own_breakpoint_with_enable_alone(m: Machine) -> Seen:
    own_breakpoint(m)
    m.debug(ENABLE)
    return [m.run(), here(m)]


@scenario
def own_breakpoint_under_use_hw(m: Machine) -> Seen:
    tell_esr(m)
    own_breakpoint(m)
    m.debug(HW)
    return [m.run(), hex(m.core("x5")), hex(m.core("x6"))]


READ = [
    "OSLSR_EL1",
    "MDCCSR_EL0",
    "MDRAR_EL1",
    "OSDLR_EL1",
    "OSDTRRX_EL1",
    "OSDTRTX_EL1",
    "OSECCR_EL1",
    "OSLAR_EL1",
    "DBGBVR7_EL1",
    "DBGWCR9_EL1",
    "PMCR_EL0",
    "PMUSERENR_EL0",
    "PMCCNTR_EL0",
    "ACTLR_EL1",
    "MPIDR_EL1",
    "MIDR_EL1",
    "CTR_EL0",
    "CLIDR_EL1",
    "DCZID_EL0",
    "CNTFRQ_EL0",
    "REVIDR_EL1",
    "AIDR_EL1",
    "LORID_EL1",
    "RMR_EL1",
    "RVBAR_EL1",
    "ISR_EL1",
    "ID_AA64DFR0_EL1",
    "ID_AA64DFR1_EL1",
    "ID_AA64PFR0_EL1",
    "ID_AA64MMFR0_EL1",
    "ID_AA64ISAR0_EL1",
    "ID_AA64MMFR1_EL1",
    "DBGAUTHSTATUS_EL1",
    "DBGPRCR_EL1",
    "DBGCLAIMSET_EL1",
]
WRITTEN = [
    "OSLSR_EL1",
    "MDRAR_EL1",
    "OSDLR_EL1",
    "PMCNTENSET_EL0",
    "OSDTRRX_EL1",
    "MPIDR_EL1",
    "ACTLR_EL1",
    "DBGBVR7_EL1",
    "OSECCR_EL1",
    "DBGCLAIMSET_EL1",
]

for _name in READ:

    @named(f"guest_reads_{_name}")
    def _reads(m: Machine, name: str = _name) -> Seen:
        tell_esr(m)
        code(m, asm.mov(2, 0xDEAD), asm.mrs(2, name), end(2))
        return [hex(m.core("x2")), m.run(), hex(m.core("x2"))]


for _name in WRITTEN:

    @named(f"guest_writes_{_name}")
    def _writes(m: Machine, name: str = _name) -> Seen:
        tell_esr(m)
        code(m, asm.mov(2, 1), asm.msr(name, 2), end(2))
        return m.run()


# -- calls of the guest ---------------------------------------------------------------------------


def _call(m: Machine, conduit: int, arguments: tuple[int, ...]) -> Seen:
    code(m, conduit, end(0))
    for n, value in enumerate(arguments):
        m.set_core(f"x{n}", value)
    return [m.run(), *(hex(m.core(f"x{n}")) for n in range(4))]


CALLS = (
    (0x12345, 11, 12, 13),
    (0x84000000,),
    *((0x8400000A, f) for f in (0x84000001, 0xC4000001, 0x84000008, 0x84000012, 0xC4000012)),
    *((0x8400000A, f) for f in (0x84000005, 0xC4000002, 0x80000000, 0x8400000E)),
    (0x84000006,),
    (0x84000004, 0, 0),
    *((0xC4000004, target, level) for target, level in ((0, 0), (1, 0), (1, 1), (0, 4))),
    *((0xC4000003, target, RAM, 0) for target in (0, 5, 1 << 31)),
    (0x80000000,),
    *((0x80000001, feature) for feature in (0x80000000, 0x80000001, 0x80008000)),
    (0x84000005,),
    (0x84000007,),
    (0x8400000B,),
    (0xC4000000,),
    (0xC4000008,),
    (0x84000012, 5),
)

for _arguments in CALLS:
    named("hvc_" + "_".join(f"{value:x}" for value in _arguments))(
        lambda m, arguments=_arguments: _call(m, asm.hvc(), arguments)
    )
named("smc")(lambda m: _call(m, asm.smc(), (0x84000000, 11, 12)))

for _function in (0x84000008, 0x84000009, 0x84000012):

    @named(f"system_{_function:x}")
    def _system(m: Machine, function: int = _function) -> Seen:
        code(m, asm.hvc())
        m.set_core("x0", function)
        return [m.run(), here(m), hex(m.core("x0")), m.mp_state()]


# -- outside memory -------------------------------------------------------------------------------


@scenario
def jump_into_nothing(m: Machine) -> Seen:
    tell_esr(m)
    code(m, asm.br(1))
    m.set_core("x1", NOWHERE)
    return [m.run(), hex(m.reg("FAR_EL1")), hex(m.core("elr_el1"))]


@scenario
def load_beyond_the_machine(m: Machine) -> Seen:
    tell_esr(m)
    code(m, asm.ldr(0, 1))
    m.set_core("x1", 1 << 41)
    return [m.run(), hex(m.reg("FAR_EL1"))]


@scenario
def jump_beyond_the_machine(m: Machine) -> Seen:
    tell_esr(m)
    code(m, asm.br(1))
    m.set_core("x1", 1 << 41)
    return [m.run(), hex(m.reg("FAR_EL1"))]


@scenario
def pair_outside_memory(m: Machine) -> Seen:
    code(m, asm.ldp(2, 3, 1))
    m.set_core("x1", NOWHERE + 8)
    return m.run()


@scenario
def undescribed_accesses_for_userspace(m: Machine) -> Seen:
    m.nisv_to_user()
    m.set_core("x1", NOWHERE + 8)
    seen = []
    for word in (asm.ldp(2, 3, 1), asm.stp(2, 3, 1), 0xF8008422):
        code(m, word)
        seen.append(m.run())
    return seen


@scenario
def external_abort_for_an_access(m: Machine) -> Seen:
    tell_esr(m)
    code(m, asm.ldr(0, 1))
    m.set_core("x1", NOWHERE + 0x18)
    first = m.run()
    m.external_abort()
    return [first, m.run(), hex(m.reg("FAR_EL1")), hex(m.core("elr_el1"))]


for _name, _word in (("ivac", asm.dc_ivac(1)), ("cvac", 0xD50B7A21)):

    @named(f"dc_{_name}_outside_memory")
    def _maintain(m: Machine, word: int = _word) -> Seen:
        code(m, word, end())
        m.set_core("x1", NOWHERE + 64)
        return m.run()


# -- registers ------------------------------------------------------------------------------------


@scenario
def registers_after_reset(m: Machine) -> Seen:
    names = ("MDSCR_EL1", "OSLSR_EL1", "SCTLR_EL1", "CPACR_EL1", "TCR_EL1", "CNTKCTL_EL1")
    return [hex(m.reg(name)) for name in names] + [hex(m.core("pstate")), here(m)]


for _name, _value in (
    ("ID_AA64DFR0_EL1", 0),
    ("MIDR_EL1", 1),
    ("OSLSR_EL1", 0),
    ("OSLSR_EL1", 0xA),
    ("MPIDR_EL1", 0x80000005),
    ("CLIDR_EL1", 0),
    ("CTR_EL0", 0),
):

    @named(f"set_{_name}_to_{_value:#x}")
    def _set(m: Machine, name: str = _name, value: int = _value) -> Seen:
        return attempt(lambda: m.set_reg(name, value))


for _id in (
    0,
    1 << 63,
    0x603000000013FFFF,
    0x603000000010FFFF,
    0x6030000000100041,
    0x6030000000100000 | 256 // 4 + 1,
    0x603000000013E208,
):

    @named(f"get_register_{_id:x}")
    def _get(m: Machine, reg_id: int = _id) -> Seen:
        return attempt(lambda: m.get(reg_id))


@scenario
def pstate_of_el2(m: Machine) -> Seen:
    return attempt(lambda: m.set_core("pstate", 0x3C9))


for _cap in (3, 14, 16, 23, 41, 70, 81, 87, 98, 102, 105, 119, 120, 136, 165, 174, 177, 178, 195):
    named(f"capability_{_cap}")(lambda m, cap=_cap: m.cap(cap))

assert all(name in SYSREGS for name in READ + WRITTEN)
