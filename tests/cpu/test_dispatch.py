"""One instruction's function must reach the next by a jump.

Done as a call, everything would still work, at half the speed and with the host's stack growing
with each instruction until it overflows. What breaks it is silent (the address of a local, a
statement behind NEXT, a compiler option), so the built modules are disassembled: every function
that says NEXT or GO in its source must contain an indirect jump and no indirect call but those to
functions that other modules export, whose addresses Cython keeps in variables of the module.
"""

from __future__ import annotations

import importlib.util
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import capstone
import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

core = pytest.importorskip(
    "guestdbg.cpu.core", reason="the processor is not compiled", exc_type=ImportError
)

SOURCES = Path(__file__).parents[2] / "src" / "guestdbg" / "cpu"
FUNCTION = re.compile(
    r"^cdef (?P<inline>inline )?void (?P<name>\w+)\((?P<arguments>[^)]*)\) noexcept nogil:\n"
    r"(?P<body>(?:[ ]{4}.*\n|[ ]*\n)*)",
    re.MULTILINE,
)
GOES_ON = re.compile(r"^\s*(?:NEXT|GO)\(", re.MULTILINE)


def instruction_functions(source: str) -> list[str]:
    """Names of the functions that are an instruction and end with NEXT or GO."""
    return [
        found["name"]
        for found in FUNCTION.finditer(source)
        if not found["inline"]
        and re.match(r"Cpu\* \w+, const Insn\* \w+", found["arguments"])
        and GOES_ON.search(found["body"])
    ]


def modules() -> list[str]:
    """Modules of the processor that have instruction functions."""
    return sorted(
        path.stem
        for path in SOURCES.glob("*.pyx")
        if instruction_functions(path.read_text(encoding="utf-8"))
    )


@dataclass(frozen=True)
class Host:
    """What the host's indirect jumps and calls look like in capstone's words."""

    arch: int
    mode: int
    jump: str
    calls: tuple[str, ...]

    def decode(self, code: bytes, address: int) -> list[capstone.CsInsn]:
        engine = capstone.Cs(self.arch, self.mode)
        return list(engine.disasm(code, address))


X86_64 = Host(capstone.CS_ARCH_X86, capstone.CS_MODE_64, "jmp", ("call",))
AARCH64 = Host(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM, "br", ("blr",))
HOSTS = {"x86_64": X86_64, "AMD64": X86_64, "aarch64": AARCH64, "arm64": AARCH64}


def indirect(host: Host, insn: capstone.CsInsn) -> bool:
    """Of a jump or call: its target is not in the instruction."""
    return host is AARCH64 or not str(insn.op_str).startswith("0x")


def from_module_variable(host: Host, code: list[capstone.CsInsn], at: int) -> bool:
    """The call at code[at] goes through a variable of the module: to another module's function."""
    operand = code[at].op_str
    if host is X86_64:
        if "rip" in operand:
            return True
        for insn in reversed(code[:at]):
            if insn.mnemonic == "mov" and insn.op_str.startswith(f"{operand}, "):
                return "rip" in str(insn.op_str)
        return False
    for n in range(at - 1, -1, -1):
        load = re.match(rf"{operand}, \[(x\d+)", code[n].op_str)
        if code[n].mnemonic == "ldr" and load:
            page = load[1]
            for insn in reversed(code[:n]):
                if insn.op_str.startswith(f"{page}, "):
                    return str(insn.mnemonic) == "adrp"
            return False
    return False


def wrong_with(host: Host, code: list[capstone.CsInsn]) -> list[str]:
    """Why these are not the instructions of a function that jumps to the next one."""
    found = []
    jumps = [insn for insn in code if insn.mnemonic == host.jump and indirect(host, insn)]
    if not any(host is AARCH64 or "rip" not in insn.op_str for insn in jumps):
        found.append("no indirect jump")
    for n, insn in enumerate(code):
        if (
            insn.mnemonic in host.calls
            and indirect(host, insn)
            and not from_module_variable(host, code, n)
        ):
            found.append(f"{insn.address:#x}: {insn.mnemonic} {insn.op_str}")
    return found


def functions(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """Name, address and code of each function of a built module; skips where none can be told."""
    with path.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            pytest.skip(f"{path.name} is not ELF: its symbols are not looked at")
        elf = ELFFile(file)
        table = elf.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            pytest.skip(f"{path.name} is stripped: its functions have no names")
        for symbol in table.iter_symbols():
            if symbol["st_info"]["type"] != "STT_FUNC" or not symbol["st_size"]:
                continue
            section = elf.get_section(symbol["st_shndx"])
            start = symbol["st_value"] - section["sh_addr"]
            yield (
                symbol.name,
                symbol["st_value"],
                section.data()[start : start + symbol["st_size"]],
            )


@pytest.mark.parametrize("module", modules())
def test_instructions_end_in_jumps(module: str) -> None:
    if not core.THREADED:
        pytest.skip("built with GUESTDBG_LOOP: instruction functions return to a loop")
    host = HOSTS.get(platform.machine())
    if host is None:
        pytest.skip(f"nobody has said what an indirect jump looks like on {platform.machine()}")
    spec = importlib.util.find_spec(f"guestdbg.cpu.{module}")
    assert spec is not None, f"guestdbg.cpu.{module} is not built"
    assert spec.origin is not None
    wanted = set(instruction_functions((SOURCES / f"{module}.pyx").read_text(encoding="utf-8")))
    prefix = re.compile(rf"__pyx_f_8guestdbg_3cpu_\d+{module}_(\w+?)(?:\.\w+(?:\.\d+)?)?$")
    seen = set()
    wrong = []
    for symbol, address, code in functions(Path(spec.origin)):
        match = prefix.match(symbol)
        if match is None or match[1] not in wanted or symbol.endswith(".cold"):
            continue
        seen.add(match[1])
        why = wrong_with(host, host.decode(code, address))
        if why:
            wrong.append(f"{match[1]}: {'; '.join(why)}")
    assert not wanted - seen, "the module has no such functions"
    assert not wrong


CALLING = bytes.fromhex(  # sub rsp,8; lea rsi,[rsi+0x20]; call [rsi]; add rsp,8; ret
    "4883ec08488d7620ff164883c408c3"
)
CALLING_REGISTER = bytes.fromhex("488b4620ffd0ffe0")  # mov rax,[rsi+32]; call rax; jmp rax
JUMPING = bytes.fromhex("488b46204883c620ffe0")  # mov rax,[rsi+32]; add rsi,32; jmp rax
SLOW = bytes.fromhex(  # call [rip+0x1000]; mov rax,[rip]; call rax; jmp [rsi]
    "ff1500100000488b0500000000ffd0ff26"
)
A64_CALLING = bytes.fromhex("220040f940003fd6c0035fd6")  # ldr x2,[x1]; blr x2; ret
A64_JUMPING = bytes.fromhex("220040f940001fd6")  # ldr x2,[x1]; br x2
A64_SLOW = bytes.fromhex(  # adrp x3,.; ldr x3,[x3,#8]; blr x3; ldr x2,[x1]; br x2
    "03000090630440f960003fd6220040f940001fd6"
)


@pytest.mark.parametrize(
    ("host", "code", "fine"),
    [
        (X86_64, CALLING, False),
        (X86_64, CALLING_REGISTER, False),
        (X86_64, JUMPING, True),
        (X86_64, SLOW, True),
        (AARCH64, A64_CALLING, False),
        (AARCH64, A64_JUMPING, True),
        (AARCH64, A64_SLOW, True),
    ],
)
def test_calls_and_jumps_are_told_apart(host: Host, code: bytes, fine: bool) -> None:
    decoded = host.decode(code, 0x1000)
    assert decoded
    assert (not wrong_with(host, decoded)) is fine


def test_instruction_functions_are_found_in_the_source() -> None:
    source = (
        "cdef void good(Cpu* c, const Insn* i) noexcept nogil:\n    c.x[0] = 1\n\n"
        "    NEXT(c, i)\n\n"
        "cdef inline void inlined(Cpu* c, const Insn* i) noexcept nogil:\n    NEXT(c, i)\n\n"
        "cdef void ending(Cpu* c, const Insn* i) noexcept nogil:\n    raise_undefined(c, i)\n\n"
        "cdef int fill(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:\n    return OK\n"
    )
    assert instruction_functions(source) == ["good"]
    for module in ("data_arith", "data_imm", "data_mul"):
        assert len(instruction_functions((SOURCES / f"{module}.pyx").read_text())) > 30
