"""One instruction's function must reach the next by a jump.

As a call, everything would still work, at half the speed and with the host's stack growing with
each instruction until it overflows. The causes are easy to miss (the address of a local, a
statement after NEXT, too many arguments, a compiler option), so this test disassembles the built
modules. The sources say which functions go on to the next instruction: those that use NEXT, FORWARD
or DISPATCH, and those that call such a function. All of them must get there by jumps, and call none
of them.
"""

from __future__ import annotations

import importlib.util
import platform
import re
from collections.abc import Callable, Iterable
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
    r"^cdef (?P<inline>inline )?void (?P<name>\w+)\([^)]*\) noexcept nogil:"
    r"(?P<body>.*\n(?:(?: .*)?\n)*)",
    re.MULTILINE,
)
CALL = re.compile(r"\b(\w+)\(")
SYMBOL = re.compile(r"__pyx_f_8guestdbg_3cpu_(?:12instructions_(?:2fp_|4simd_|6crypto_)?)?\d+")


@dataclass(frozen=True)
class Function:
    """A function of the processor's sources that returns nothing and runs without the GIL."""

    module: str
    name: str
    inline: bool
    calls: frozenset[str]


def scan(module: str, source: str) -> list[Function]:
    source = re.sub(r'""".*?"""', "", source, flags=re.DOTALL)
    source = re.sub(r"#.*", "", source)
    return [
        Function(
            module, found["name"], bool(found["inline"]), frozenset(CALL.findall(found["body"]))
        )
        for found in FUNCTION.finditer(source)
    ]


def going_on(functions: Iterable[Function]) -> set[Function]:
    """Those that reach the next instruction: by NEXT or DISPATCH, or by a function that does."""
    functions = list(functions)
    found: set[Function] = set()
    while True:
        names = {(function.module, function.name) for function in found}
        anywhere = {function.name for function in found}
        here = {(function.module, function.name) for function in functions}
        more = {
            function
            for function in functions
            if function not in found
            and any(
                call in ("NEXT", "FORWARD", "DISPATCH", "GO_ON")
                or (
                    (function.module, call) in names
                    if (function.module, call) in here
                    else call in anywhere
                )
                for call in function.calls
            )
        }
        if not more:
            return found
        found |= more


def _sources() -> list[Function]:
    found: list[Function] = []
    for path in sorted([*SOURCES.rglob("*.pyx"), *SOURCES.rglob("*.pxd")]):
        found += scan(path.stem, path.read_text(encoding="utf-8"))
    return found


GOING_ON = going_on(_sources())
GOING_ON_NAMES = {(function.module, function.name) for function in GOING_ON}
MODULES = sorted({function.module for function in GOING_ON if not function.inline})


@dataclass(frozen=True)
class Host:
    """What the host's indirect jumps and calls look like in capstone's words."""

    arch: int
    mode: int
    jumps: tuple[str, ...]
    calls: tuple[str, ...]
    target: Callable[[list[capstone.CsInsn], int], int | None]

    def decode(self, code: bytes, address: int) -> list[capstone.CsInsn]:
        engine = capstone.Cs(self.arch, self.mode)
        return list(engine.disasm(code, address))


@dataclass
class Image:
    """A built module: its code and the symbols at its addresses."""

    code: dict[str, tuple[int, bytes]]  # functions by symbol: address, machine code
    names: dict[int, str]  # symbols of functions and variables by address


def goes_on(symbol: str) -> bool:
    """The symbol of a function, or of the variable in which Cython keeps one of another module."""
    if "flow_trace_msr_of_" in symbol:
        return True  # flow_trace.pyx: a variable that has the function of an MSR
    if not SYMBOL.match(symbol):
        return False
    name = SYMBOL.sub("", symbol).split(".")[0]
    return any(name == f"{module}_{function}" for module, function in GOING_ON_NAMES)


def _x86_target(code: list[capstone.CsInsn], at: int) -> int | None:
    """The variable whose value the jump or call at code[at] takes for its target."""
    operand = str(code[at].op_str)
    for insn in reversed(code[: at + 1]):
        text = str(insn.op_str)
        if insn is code[at] or (insn.mnemonic == "mov" and text.startswith(f"{operand}, ")):
            relative = re.search(r"\[rip ([+-]) (0x[0-9a-f]+|\d+)\]", text)
            if relative:
                offset = int(relative[2], 0)
                return int(insn.address + insn.size + (offset if relative[1] == "+" else -offset))
            if insn is not code[at]:
                return None
    return None


#: Instructions whose first operand is read, not written.
_A64_READS = re.compile(r"st|cmp|cmn|ccm|tst|[ct]bn?z|prfm")


def _a64_before(code: list[capstone.CsInsn], at: int) -> list[int]:
    """The instructions that may be executed before this one."""
    found = [at - 1] if at and code[at - 1].mnemonic not in ("b", "br", "ret") else []
    here = f"#{code[at].address:#x}"
    jumps = (n for n, insn in enumerate(code) if insn.op_str.endswith(here))
    return found + [n for n in jumps if re.match(r"b$|b\.|[ct]bn?z", code[n].mnemonic)]


def _a64_written(code: list[capstone.CsInsn], before: int, register: str) -> int | None:
    """An instruction that wrote the register: on one of the ways here, the last one."""
    ways, seen = [before], {before}
    while ways:
        for n in _a64_before(code, ways.pop(0)):
            if n in seen:
                continue
            seen.add(n)
            operands = [part.strip() for part in str(code[n].op_str).split(",")]
            pair = code[n].mnemonic.startswith("ldp")
            if register in operands[: 2 if pair else 1] and not _A64_READS.match(code[n].mnemonic):
                return n
            ways.append(n)
    return None


def _a64_address(code: list[capstone.CsInsn], before: int, register: str) -> int | None:
    """The register's value, if it is that of a page, with or without a number added."""
    at = _a64_written(code, before, register)
    if at is None:
        return None
    text = str(code[at].op_str)
    if code[at].mnemonic == "adrp":
        return int(text.split("#")[1], 0)
    if code[at].mnemonic == "mov" and (other := re.fullmatch(r"x\d+, (x\d+)", text)):
        return _a64_address(code, at, other[1])
    if code[at].mnemonic == "add" and (total := re.fullmatch(r"x\d+, (x\d+), #(\w+)", text)):
        base = _a64_address(code, at, total[1])
        return None if base is None else base + int(total[2], 0)
    return None


def _a64_target(code: list[capstone.CsInsn], at: int) -> int | None:
    register = str(code[at].op_str)
    loaded = _a64_written(code, at, register)
    if loaded is None:
        return None
    text = str(code[loaded].op_str)
    if code[loaded].mnemonic == "mov" and (other := re.fullmatch(r"x\d+, (x\d+)", text)):
        # Jumps to other functions are made by x16 and x17.
        register = other[1]
        loaded = _a64_written(code, loaded, register)
        if loaded is None:
            return None
        text = str(code[loaded].op_str)
    load = re.fullmatch(r"(x\d+)(?:, (x\d+))?, \[(x\d+)(?:, #(\w+))?\]", text)
    if code[loaded].mnemonic not in ("ldr", "ldp") or not load:
        return None
    base = _a64_address(code, loaded, load[3])
    second = 8 if load[2] == register else 0
    return None if base is None else base + int(load[4] or "0", 0) + second


X86_64 = Host(capstone.CS_ARCH_X86, capstone.CS_MODE_64, ("jmp",), ("call",), _x86_target)
AARCH64 = Host(
    capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM, ("br", "b"), ("blr", "bl"), _a64_target
)
HOSTS = {"x86_64": X86_64, "AMD64": X86_64, "aarch64": AARCH64, "arm64": AARCH64}


def wrong_with(host: Host, image: Image, code: list[capstone.CsInsn]) -> list[str]:
    """Why these are not the instructions of a function that jumps on to the next."""
    found = []
    reaches = False
    for n, insn in enumerate(code):
        text = str(insn.op_str)
        jump = insn.mnemonic in host.jumps
        if not jump and insn.mnemonic not in host.calls:
            continue
        direct = re.fullmatch(r"#?(0x[0-9a-f]+)", text)
        at = int(direct[1], 16) if direct else host.target(code, n)
        # where the target's address comes from is not known: from the decoded instruction
        onward = at is None or goes_on(image.names.get(at, ""))
        if onward and jump:
            reaches = True
        elif onward:
            what = "the next instruction" if at is None else image.names[at]
            found.append(f"{insn.address:#x}: {insn.mnemonic} {text} calls {what}")
    if not reaches:
        found.append("it never jumps on")
    return found


def load(path: Path) -> Image:
    """The functions of a built module; skips if their names are unknown."""
    image = Image({}, {})
    with path.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            pytest.skip(f"{path.name} is not ELF: its symbols are not looked at")
        elf = ELFFile(file)
        table = elf.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            pytest.skip(f"{path.name} is stripped: its functions have no names")
        for symbol in table.iter_symbols():
            kind, size, value = symbol["st_info"]["type"], symbol["st_size"], symbol["st_value"]
            if not size or kind not in ("STT_FUNC", "STT_OBJECT"):
                continue
            image.names[value] = symbol.name
            if kind == "STT_FUNC":
                section = elf.get_section(symbol["st_shndx"])
                start = value - section["sh_addr"]
                image.code[symbol.name] = (value, section.data()[start : start + size])
    return image


@pytest.mark.parametrize("module", MODULES)
def test_instructions_end_in_jumps(module: str) -> None:
    if not core.THREADED:
        pytest.skip("built with GUESTDBG_LOOP: instruction functions return to a loop")
    host = HOSTS.get(platform.machine())
    if host is None:
        pytest.skip(f"nobody has said what an indirect jump looks like on {platform.machine()}")
    (source,) = SOURCES.rglob(f"{module}.pyx")
    dotted = ".".join(["guestdbg.cpu", *source.relative_to(SOURCES).with_suffix("").parts])
    spec = importlib.util.find_spec(dotted)
    assert spec is not None, f"{dotted} is not built"
    assert spec.origin is not None
    image = load(Path(spec.origin))
    seen = set()
    wrong = []
    for symbol, (address, code) in image.code.items():
        if not goes_on(symbol) or symbol.endswith(".cold"):
            continue
        name = SYMBOL.sub("", symbol).split(".")[0]
        seen.add(name)
        why = wrong_with(host, image, host.decode(code, address))
        if why:
            wrong.append(f"{name}: {'; '.join(why)}")
    wanted = {
        f"{module}_{function.name}"
        for function in GOING_ON
        if function.module == module and not function.inline
    }
    assert not wanted - seen, "the module has no such functions"
    assert not wrong


SLOW = "__pyx_f_8guestdbg_3cpu_12instructions_8mem_slow_slow_ordered"  # goes on
PLAIN = "__pyx_f_8guestdbg_3cpu_3mmu_mem_load"  # comes back


@pytest.mark.parametrize(
    ("host", "code", "names", "fine"),
    [
        pytest.param(X86_64, "488b4620 4883c620 ffe0", {}, True, id="mov rax,[rsi+32]; jmp rax"),
        pytest.param(X86_64, "ff6620", {}, True, id="jmp [rsi+32]"),
        pytest.param(X86_64, "4883ec08 ff16 4883c408 c3", {}, False, id="call [rsi]; ret"),
        pytest.param(X86_64, "488b4620 ffd0 ffe0", {}, False, id="mov rax,[rsi+32]; call rax"),
        pytest.param(X86_64, "c3", {}, False, id="ret"),
        pytest.param(X86_64, "ff15fa0f0000 ff26", {0x2000: PLAIN}, True, id="call mem_load"),
        pytest.param(X86_64, "ff15fa0f0000 ff26", {0x2000: SLOW}, False, id="call slow_ordered"),
        pytest.param(X86_64, "ff25fa0f0000", {0x2000: SLOW}, True, id="jmp slow_ordered"),
        pytest.param(X86_64, "ff25fa0f0000", {0x2000: PLAIN}, False, id="jmp mem_load"),
        pytest.param(
            X86_64, "488b05f90f0000 ffd0 ff26", {0x2000: SLOW}, False, id="mov slow; call rax"
        ),
        pytest.param(X86_64, "e8fb000000 ff26", {0x1100: SLOW}, False, id="call directly"),
        pytest.param(X86_64, "e9fb000000", {0x1100: SLOW}, True, id="jmp directly"),
        pytest.param(AARCH64, "220040f9 40001fd6", {}, True, id="ldr x2,[x1]; br x2"),
        pytest.param(AARCH64, "220040f9 40003fd6 c0035fd6", {}, False, id="ldr x2,[x1]; blr x2"),
        pytest.param(
            AARCH64,
            "03000090 630440f9 60003fd6 220040f9 40001fd6",
            {0x1008: PLAIN},
            True,
            id="adrp x3; ldr x3,[x3,#8]; blr x3",
        ),
        pytest.param(
            AARCH64,
            "03000090 630440f9 60003fd6 220040f9 40001fd6",
            {0x1008: SLOW},
            False,
            id="adrp x3; ldr x3,[x3,#8]; blr x3 of slow",
        ),
        *(
            pytest.param(
                AARCH64,
                "150000b0 b5420091 a28e40a9 60003fd6 220040f9 40001fd6",
                {0x2020: name},
                fine,
                id=f"adrp x21; add x21,x21,#16; ldp x2,x3,[x21,#8]; blr x3 of {what}",
            )
            for name, fine, what in ((PLAIN, True, "plain"), (SLOW, False, "slow"))
        ),
        pytest.param(
            AARCH64,
            "150000b0 600000b4 f50b40f9 c0035fd6 a30640f9 60003fd6 220040f9 f00302aa 00021fd6",
            {0x2008: PLAIN},
            True,
            id="x21 is another one only on the way out; br x16",
        ),
        pytest.param(AARCH64, "40000014", {0x1100: SLOW}, True, id="b directly"),
        pytest.param(AARCH64, "40000094 c0035fd6", {0x1100: SLOW}, False, id="bl directly"),
    ],
)
def test_calls_and_jumps_are_told_apart(
    host: Host, code: str, names: dict[int, str], fine: bool
) -> None:
    decoded = host.decode(bytes.fromhex(code), 0x1000)
    assert sum(insn.size for insn in decoded) == len(bytes.fromhex(code))
    assert (not wrong_with(host, Image({}, names), decoded)) is fine


def test_functions_that_go_on_are_found_in_the_sources() -> None:
    header = "(Cpu* c, const Insn* i) noexcept nogil:"
    first = scan(
        "one",
        f'cdef void says{header}\n    """NEXT(c, i)"""\n    c.x[0] = 1\n\n    NEXT(c, i)\n\n'
        f"cdef inline void helper{header}\n    go_slow(c, i)\n"
        f"cdef void by_helper{header} helper(c, i)\n"
        f"cdef void ends{header}\n    # NEXT(c, i)\n    raise_undefined(c, i)\n",
    )
    second = scan(
        "two", f"cdef void go_slow{header}\n    DISPATCH(c, i)\ncdef int f():\n    pass\n"
    )
    found = {function.name for function in going_on([*first, *second])}
    assert found == {"says", "helper", "by_helper", "go_slow"}


def test_the_sources_have_many_functions_that_go_on() -> None:
    assert {"branch", "data_arith", "mem_int", "mem_slow"} <= set(MODULES)
    for module in ("branch", "data_arith", "data_imm", "mem_int"):
        assert sum(function.module == module for function in GOING_ON) > 20
