"""The conformance suite: does a KVM keep the promises of the guest-debug interface?

`guestdbg check` runs it on either provider. It uses ``guestdbg.kvm`` alone and is pure Python; it
assembles its guest code itself.

assembler/     a small A64 assembler
layout         the memory map of the machine that cases run on, and its translation tables
describe       exits and syndromes in words
verdict        ``Failure`` and ``Skipped``, which cases raise
watchdog       kicks a vCPU that stays in KVM_RUN for too long
expect         the expectations: one method for each sort of exit
rig            ``Rig``, which a case gets: a vCPU, its machine, and the expectations
registry       ``Case``, ``@case`` and the list of all cases
evidence       whether the processor itself lacks something
handlers       exception handlers of a guest that debugs itself
accesses       every sort of memory access, for cases about watchpoints
controller     the machine's interrupt controller: the device, its attributes and lines
interrupt_code what a guest does with its interrupt controller
cases/         the cases, one file for each topic
situation      the state of vCPU and guest when a case failed
runner         runs cases and gives verdicts
report         the verdicts as JSON
differential/  random programs on two KVMs, compared exit by exit

**How a case is written.** In the file of its topic in ``guestdbg/check/cases/``::

    @case(
        "watchpoint.my-case",
        "A watchpoint exception is taken before the access: memory is as it was.",
        "Arm ARM D2.10 (Watchpoint exceptions); KVM API 5, KVM_EXIT_DEBUG",
    )
    def _(rig: Rig) -> None:
        code = rig.code(asm.NOP, asm.str_(0, 1), rig.finish())  # in a new page; sets the PC
        rig.set_x(0, 7)
        rig.set_x(1, DATA)
        rig.debug(USE_HW, watchpoints=watchpoint(DATA, 8))      # register 0 on; or {number: pair}
        rig.watches(code.at(1), DATA, write=True)               # runs; raises Failure
        rig.expect("the doubleword", rig.machine.u64(DATA), 0)
        rig.debug(0)
        rig.done()                                              # runs to the end of the program

- The name gives the topic and what is promised. The promise is one sentence in plain words; the
  source is the section of the manual or of the KVM API that says so.
  ``@case_for_each(name, each, ...)`` registers one case for each item of ``each``.
- The rig is a new machine with one vCPU at EL1 (``rig.code(..., el=0)`` for EL0). Its MMU is on,
  every address is mapped to itself, and exceptions are masked. Its exception vectors report the
  exceptions that the guest takes itself (``rig.takes``). ``rig.finish`` and the vectors use x28
  and x29; a case may use every other register.
- Where the architecture permits several answers, accept all of them
  (``rig.watches(..., last=...)``, ``rig.expect_one_of``).
- Skip what the processor cannot do only *on evidence*, an ID register or the behaviour itself, and
  give the reason: ``rig.skip(...)``. Never skip because an answer is missing.
- A case must be able to fail. A case about what must not stop the guest needs a positive control:
  the same guest with the same set-up stops if only the difference under test is another one
  (``with rig.positive_control():``). Without it, a KVM that never stops passes.
  ``tests/check/test_nothing_stops.py`` finds every case that arms something and has no control.
- Tag what Linux 6.14 and later answer differently ``until=(6, 14)``, and what Linux promises
  only since 5.19 ``since=(5, 19)``.
- A case about interrupts starts with ``controller.ready(rig)``, which skips if there is none;
  ``interrupt_code`` has what the guest does with it. Its handler reports each interrupt
  (``rig.reports``), which is an exit: the case lowers lines and looks at registers there.
- Put every new program into a new ``rig.code(...)``. Never overwrite code that has run: an
  instruction cache may still hold it.
"""

from guestdbg.check import cases as _topics
from guestdbg.check.registry import CASES, Case, case, case_for_each, numbered, select
from guestdbg.check.rig import Machine, Rig
from guestdbg.check.runner import Result, run_case, run_cases
from guestdbg.check.verdict import Failure, Skipped

__all__ = [
    "CASES",
    "Case",
    "Failure",
    "Machine",
    "Result",
    "Rig",
    "Skipped",
    "case",
    "case_for_each",
    "numbered",
    "run_case",
    "run_cases",
    "select",
]
assert _topics
