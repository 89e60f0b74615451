"""Instructions that the processor does not implement, as a guest has executed them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.hexadecimal_repr import hexadecimal

if TYPE_CHECKING:
    from guestdbg.arm64.cpu_models import CpuModel
    from guestdbg.arm64.extension_encodings import ExtensionInstruction
    from guestdbg.debugger.program.source_location import Location

__all__ = ["UnimplementedInstruction"]


@hexadecimal("pc", "encoding")
@dataclass(frozen=True, slots=True)
class UnimplementedInstruction:
    """The first execution of an instruction that the processor does not implement.

    Attributes:
        pc: its address.
        location: where that is: function, offset, file and line, those that are known.
        encoding: its 32 bits.
        text: the instruction as assembly.
        extension: what it belongs to.
        build_with: the compiler option with which code does not use it; None: there is none.
        vcpu: the id of the vCPU.
        instruction: the extension by its name, and the instruction, such as "MTE: IRG"; None: it
            belongs to no extension.
        cpu: the processor's model, if the provider says it.
    """

    pc: int
    location: Location
    encoding: int
    text: str
    extension: str
    build_with: str | None
    vcpu: int
    instruction: ExtensionInstruction | None = None
    cpu: CpuModel | None = None

    @property
    def mnemonic(self) -> str:
        """The first word of ``text``."""
        return self.text.split(maxsplit=1)[0]

    @property
    def summary(self) -> str:
        """In a few words: "LSE: LDADD (this processor, cortex-a57, has no FEAT_LSE; ...)"."""
        return self.instruction.on(self.cpu) if self.instruction is not None else self.text

    def __str__(self) -> str:
        where = str(self.location)
        pc = "" if f"{self.pc:#x}" in where else f" (pc {self.pc:#x})"
        label, hint = "", ""
        if self.instruction is not None:
            label, hint = f"{self.instruction}: ", self.instruction.hint(self.cpu)
        text = (
            f"{label}{where}{pc} executed {self.text!r}, of {self.extension}, which this processor "
            "does not implement: UNDEFINED to the guest"
        )
        parts = [text, hint, f"build with {self.build_with}" if self.build_with else ""]
        return "; ".join(part for part in parts if part)
