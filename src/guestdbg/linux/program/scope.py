"""Parameters of the kernel's functions by BTF, and ``current``, for conditions and hits.

BTF has the parameters of functions, but not where a function keeps them. At its first instruction
they are where the Procedure Call Standard (AAPCS64, section 6.8.2) says: integers and pointers in
X0 to X7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.errors import NotInScope
from guestdbg.debugger.program import drgn_import
from guestdbg.debugger.program.drgn_objects import is_scalar, plain
from guestdbg.debugger.program.local_variables.scope_source import Argument
from guestdbg.debugger.program.local_variables.stack_frame import register_value
from guestdbg.kvm.regs import PSTATE, SP_EL0, sys_reg
from guestdbg.linux.btf.records import Kind, Prototype, Reference
from guestdbg.linux.memory import is_kernel_pointer

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Symbol
    from guestdbg.debugger.program.local_variables.scope_source import Registers
    from guestdbg.linux.btf import DrgnTypes

__all__ = ["KernelScope"]

_TPIDR = sys_reg("TPIDR_EL1")
_CURRENT = "current"
#: The task of each CPU: what ``current`` is while a program runs (arch/arm64/kernel/process.c).
_ENTRY_TASK = "__entry_task"
_EL_MASK = 0xF
_REGISTERS = 8
_WORD = 8
_U64 = (1 << 64) - 1
_KNOWN = 4096


class KernelScope:
    """What names mean to the kernel's code.

    Args:
        guest: the guest.
        program: gives the ``drgn.Program``.
        types: gives the types of the kernel and of its modules.
    """

    def __init__(
        self,
        guest: Guest,
        program: Callable[[], Any],
        types: Callable[[], Iterator[DrgnTypes]],
    ) -> None:
        self._guest = guest
        self._program = program
        self._types = types
        self._arguments: dict[tuple[str, int], Argument | NotInScope | None] = {}

    def forget(self) -> None:
        """There is another program, or the kernel has moved."""
        self._arguments.clear()

    def is_everywhere(self, name: str) -> bool:
        """Whether it is ``current``, which all code of the kernel has."""
        return name == _CURRENT

    def value(self, name: str, pc: int, registers: Registers) -> Any | None:
        """The object of ``current``, or of a parameter of the function that begins at ``pc``."""
        if name == _CURRENT:
            return self._current(registers)
        argument = self.argument(name, pc)
        if argument is None:
            return None
        if registers.now != pc:
            raise NotInScope(
                f"{name!r} is a parameter, and its register may have another value after the "
                f"instruction at {pc:#x}"
            )
        program = self._program()
        return register_value(program, argument.type, registers.registers[argument.register])

    def argument(self, name: str, pc: int) -> Argument | None:
        """The parameter of the function that ``pc`` is in. Raises NotInScope after its start."""
        key = name, pc
        if key not in self._arguments:
            if len(self._arguments) >= _KNOWN:
                self._arguments.clear()
            try:
                self._arguments[key] = self._argument(name, pc)
            except NotInScope as error:
                self._arguments[key] = error
        found = self._arguments[key]
        if isinstance(found, NotInScope):
            raise NotInScope(str(found))
        return found

    def _argument(self, name: str, pc: int) -> Argument | None:
        symbol = self._guest.execution.symbol_at(pc)
        if symbol is None:
            return None
        for types in self._types():
            for number in types.btf.find(symbol.name, (Kind.FUNC,)):
                function = types.btf[number]
                assert isinstance(function, Reference)
                prototype = types.btf[function.target]
                if not isinstance(prototype, Prototype):
                    continue
                names = [parameter.name for parameter in prototype.parameters]
                if name in names:
                    return _place(types, prototype, names.index(name), symbol, pc)
        return None

    def _current(self, registers: Registers) -> Any:
        program = self._program()
        address = registers.get(SP_EL0)
        in_program = registers.get(PSTATE) & _EL_MASK == 0
        if in_program or not is_kernel_pointer(address):
            address = self._entry_task(program, registers)
        type_ = program.type("struct task_struct *")
        return drgn_import.drgn().Object(program, type_, value=address)

    def _entry_task(self, program: Any, registers: Registers) -> int:
        """At EL0, and in the first instructions of an exception, SP_EL0 is that of the program."""
        try:
            variable = program.variable(_ENTRY_TASK)
        except LookupError:
            raise NotInScope(
                f"{_CURRENT!r} is not known while a program runs: this kernel has no {_ENTRY_TASK}"
            ) from None
        here = int(variable.address_) + registers.get(_TPIDR) & _U64
        return int.from_bytes(program.read(here, _WORD), "little")


def _place(types: DrgnTypes, function: Prototype, index: int, symbol: Symbol, pc: int) -> Argument:
    """The register of a parameter. Raises NotInScope if it has none, or not at ``pc``."""
    name = function.parameters[index].name
    what = f"{name!r} is a parameter of {symbol.name}, and the kernel's BTF does not say where"
    if pc != symbol.address:
        raise NotInScope(
            f"{what} it is kept: it is known at the function's first instruction only, "
            f"{symbol.address:#x}, and not at {pc:#x}. A vmlinux with debug information has it"
        )
    used = 0
    for parameter in function.parameters[: index + 1]:
        type_ = types.type(parameter.target)
        if not _in_one_register(type_):
            raise NotInScope(
                f"{what} it is passed: "
                + ("it is" if parameter.name == name else f"before it there is {parameter.name!r},")
                + f" a {type_.type_name()}. Integers and pointers are read from X0 to X7"
            )
        used += 1
    if used > _REGISTERS:
        raise NotInScope(f"{what} it is on the stack: only the first {_REGISTERS} are in registers")
    return Argument(types.type(function.parameters[index].target), used - 1)


def _in_one_register(type_: Any) -> bool:
    """Whether a value is passed in one X register."""
    drgn = drgn_import.drgn()
    if not is_scalar(type_) or plain(type_).kind == drgn.TypeKind.FLOAT:
        return False
    return int(drgn.sizeof(type_)) <= _WORD
