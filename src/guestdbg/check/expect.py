"""What a case can expect: a method for each sort of exit, with all answers that are permitted."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from guestdbg.arm64.esr import EC, Syndrome
from guestdbg.arm64.exception_class import exception_class
from guestdbg.arm64.iss import SoftwareStepIss, WatchpointIss
from guestdbg.check import layout
from guestdbg.check.describe import exit_words, syndrome, taken_vector
from guestdbg.check.verdict import Failure
from guestdbg.kvm import ExitDebug, ExitMmio

if TYPE_CHECKING:
    from guestdbg.kvm import Exit


class Expectations:
    """The expectations of a ``Rig``. Each method runs the vCPU once, unless it is given an exit.

    All of them raise ``Failure`` if the promise is broken.
    """

    @property
    @abstractmethod
    def pc(self) -> int:
        """The PC."""

    @abstractmethod
    def run(self) -> Exit:
        """KVM_RUN."""

    def expect(self, what: str, seen: object, expected: object) -> None:
        """Expect two plain values to be equal."""
        if seen != expected:
            raise Failure(f"{what} = {_text(expected)}", _text(seen))

    def expect_one_of(self, what: str, seen: object, permitted: object) -> None:
        """Expect one of several permitted values (a set, a range …)."""
        assert isinstance(permitted, (set, frozenset, range, tuple))
        if seen not in permitted:
            words = ", ".join(_text(value) for value in sorted(permitted))
            raise Failure(f"{what} to be one of {words}", _text(seen))

    def debug_exit(self, ec: int, words: str, exit_: Exit | None = None) -> ExitDebug:
        """Expect KVM_EXIT_DEBUG with this exception class; ``words`` describes it."""
        seen = self.run() if exit_ is None else exit_
        if not isinstance(seen, ExitDebug) or seen.ec != ec:
            raise Failure(words, f"{exit_words(seen)}, PC {self.pc:#x}")
        if not Syndrome.decode(seen.hsr).il:
            raise Failure(f"{words} with IL set (all A64 instructions are)", syndrome(seen.hsr))
        return seen

    def breaks(self, pc: int, exit_: Exit | None = None) -> ExitDebug:
        """Expect a breakpoint exit before the instruction at ``pc``."""
        seen = self.debug_exit(EC.BREAKPT_LOW, f"a breakpoint exit at {pc:#x}", exit_)
        self.expect("PC at the breakpoint exit", self.pc, pc)
        self._iss(seen, 0x22)
        return seen

    def _iss(self, seen: ExitDebug, expected: int) -> None:
        if seen.hsr & 0x1FFFFFF != expected:
            raise Failure(syndrome(seen.hsr & ~0x1FFFFFF | expected), syndrome(seen.hsr))

    def steps(self, pc: int, exit_: Exit | None = None, *, exclusive: bool = False) -> ExitDebug:
        """Expect a software-step exit before the instruction at ``pc``.

        ISV may be 0, because the step of an instruction that took an exception has no valid
        syndrome. If it is 1, EX must say whether a load-exclusive was stepped (``exclusive``).
        """
        seen = self.debug_exit(EC.SOFTSTP_LOW, f"a software-step exit at {pc:#x}", exit_)
        self.expect("PC at the software-step exit", self.pc, pc)
        details = Syndrome.decode(seen.hsr).details
        assert isinstance(details, SoftwareStepIss)
        want = SoftwareStepIss(details.isv, int(exclusive) if details.isv else details.ex)
        self._iss(seen, want.encode())
        return seen

    def watches(
        self,
        pc: int,
        first: int,
        last: int | None = None,
        *,
        write: bool | tuple[bool, ...],
        cache: bool = False,
        exit_: Exit | None = None,
    ) -> ExitDebug:
        """Expect a watchpoint exit before the instruction at ``pc``.

        FAR must be between ``first``, the lowest address accessed, and ``last``, the highest
        watched address accessed (default: exactly ``first``). In the syndrome, WnR must be
        ``write`` (a tuple: any of these), and CM must be ``cache``. If the processor gives the
        number of the watchpoint, or says that FAR is not precise, FAR is not checked.
        """
        words = f"a watchpoint exit at {pc:#x}"
        seen = self.debug_exit(EC.WATCHPT_LOW, words, exit_)
        self.expect("PC at the watchpoint exit", self.pc, pc)
        details = Syndrome.decode(seen.hsr).details
        assert isinstance(details, WatchpointIss)
        permitted = write if isinstance(write, tuple) else (write,)
        self.expect("DFSC", details.dfsc, 0x22)
        if bool(details.wnr) not in permitted:
            want = "a write (WnR 1)" if permitted[0] else "a read (WnR 0)"
            raise Failure(f"the watchpoint exit to say {want}", syndrome(seen.hsr))
        if bool(details.cm) is not cache:
            raise Failure(f"CM {int(cache)} in the watchpoint's syndrome", syndrome(seen.hsr))
        if details.vncr:
            raise Failure("VNCR 0: the guest made this access itself", syndrome(seen.hsr))
        if not (details.fnv or details.wpf or details.fnp):
            last = first if last is None else last
            if seen.far is None or not first <= seen.far <= last:
                raise Failure(
                    f"FAR between {first:#x} and {last:#x}"
                    if last != first
                    else f"FAR = {first:#x}",
                    "none" if seen.far is None else f"{seen.far:#x}",
                )
        return seen

    def brk(self, pc: int, comment: int, exit_: Exit | None = None) -> ExitDebug:
        """Expect a BRK exit at ``pc``, with this immediate in the syndrome."""
        seen = self.debug_exit(EC.BRK64, f"a BRK exit at {pc:#x}", exit_)
        self.expect("PC at the BRK exit", self.pc, pc)
        self._iss(seen, comment)
        return seen

    def done(self, value: int | None = None, exit_: Exit | None = None) -> int:
        """Expect that the guest ran to the end of its program (``Rig.finish``).

        Returns the value that it stored there, which must be ``value`` if that is given.
        """
        seen = self.run() if exit_ is None else exit_
        if not (isinstance(seen, ExitMmio) and seen.is_write and seen.phys_addr == layout.DONE):
            raise Failure("the guest to run to its end", f"{exit_words(seen)}, PC {self.pc:#x}")
        stored = int.from_bytes(seen.data, "little")
        if value is not None:
            self.expect("the value that the guest stored at its end", stored, value)
        return stored

    def reports(self, what: str, value: int | None = None, exit_: Exit | None = None) -> int:
        """Expect that the guest stores a value to REPORTED (``interrupt_code.report``), and which.

        Returns the value; ``what`` says what it is.
        """
        seen = self.run() if exit_ is None else exit_
        if not (isinstance(seen, ExitMmio) and seen.phys_addr == layout.REPORTED):
            words = "" if value is None else f" = {_text(value)}"
            raise Failure(
                f"the guest to report {what}{words}", f"{exit_words(seen)}, PC {self.pc:#x}"
            )
        stored = int.from_bytes(seen.data, "little")
        if value is not None:
            self.expect(what, stored, value)
        return stored

    def takes(self, ec: int, vector: int, exit_: Exit | None = None) -> int:
        """Expect that the guest took this exception itself, at this vector. Returns its ESR_EL1."""
        seen = self.run() if exit_ is None else exit_
        if taken_vector(seen) is None or not isinstance(seen, ExitMmio):
            raise Failure(
                f"the guest to take an exception of class {ec:#x} ({_class(ec)}) itself",
                f"{exit_words(seen)}, PC {self.pc:#x}",
            )
        esr = int.from_bytes(seen.data, "little")
        if exception_class(esr) != ec or taken_vector(seen) != vector:
            raise Failure(f"the guest to take {_class(ec)} at vector {vector:#x}", exit_words(seen))
        return esr


def _class(ec: int) -> str:
    try:
        return EC(ec).name
    except ValueError:
        return f"EC {ec:#x}"


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return value.hex() if isinstance(value, bytes) else str(value)
    return str(value) if 0 <= value < 10 else f"{value:#x}"
