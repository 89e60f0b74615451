"""The conformance suite: does a KVM keep the promises of the guest-debug interface?

`guestdbg check` runs it on either provider; everything is judged through ``guestdbg.kvm`` alone, in
pure Python, with guest code that the suite assembles itself.

**How a case is written.** In the file of its topic in ``guestdbg/check/cases/``::

    @case(
        "watchpoint.my-case",
        "A watchpoint exception is taken before the access: memory is as it was.",
        "Arm ARM D2.10 (Watchpoint exceptions); KVM API 5, KVM_EXIT_DEBUG",
    )
    def _(rig: Rig) -> None:
        code = rig.code(asm.NOP, asm.str_(0, 1), rig.tell())   # a fresh page; the PC is there
        rig.set_x(0, 7)
        rig.set_x(1, DATA)
        rig.debug(USE_HW, watchpoints=watchpoint(DATA, 8))     # pairs, from number 0 on; or {n: p}
        rig.watches(code.at(1), DATA, write=True)              # runs; expects; raises Failure
        rig.expect("the doubleword", rig.machine.u64(DATA), 0)
        rig.debug(0)
        rig.done()                                             # runs to the end of the program

- The name says topic, thing and promise; promise and source are in our own words and say where it
  is written. ``@case_for_each(name, each, ...)`` registers one case an item of ``each``.
- The rig is a fresh machine with one vCPU at EL1 (``el=0`` to ``rig.code`` for EL0), MMU on, every
  address mapped to itself, exceptions masked; its vectors report what the guest takes itself
  (``rig.takes``). x28 and x29 belong to ``rig.tell`` and the vectors; all else is the case's.
- Where the architecture permits several answers, accept them all (``rig.watches(..., last=...)``,
  ``rig.expect_one_of``). What the processor lacks is a skip *on evidence* (an ID register, or the
  behaviour itself), with the reason: ``rig.skip(...)``. A case must be able to fail; one about what
  must not stop goes on to what does, so that nothing stopping at all is no pass.
- What Linux 6.14 and later answer differently is tagged ``until=(6, 14)``; what Linux promises only
  from 5.19 on, ``since=(5, 19)``. Nothing is skipped because its answer is missing.
- Put every new program in a new ``rig.code(...)``; never write over code that has run.
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
