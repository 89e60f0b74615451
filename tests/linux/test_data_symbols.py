"""The variables of running kernels without a file, and where a kernel is that was found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.debugger import Guest, UnknownSymbol
from guestdbg.linux import MissingKernelData
from guestdbg.linux.symbols import VmcoreInfo

from .shell import Shell
from .support import load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EL_MASK = 0xF


def test_vmcoreinfo(shell: Shell) -> None:
    linux = shell.guest.linux
    info = linux.vmcoreinfo
    assert info.release == linux.release == shell.ask("uname -r").strip()
    assert int(info.values["PAGESIZE"]) == 4096
    assert info.kernel_offset == linux.slide
    assert info.build_id is not None
    assert bytes.fromhex(info.build_id) in bytes.fromhex(
        shell.ask("od -An -v -tx1 /sys/kernel/notes").replace("\n", " ")
    )
    memory = linux.memory
    address = info.symbols["init_uts_ns"] + info.offsets["uts_namespace.name"]
    assert memory.string(address) == "Linux"
    kallsyms = linux.kallsyms.named("swapper_pg_dir")
    if kallsyms:
        assert info.symbols["swapper_pg_dir"] == linux.address + kallsyms[0].offset


def test_variables_have_names(shell: Shell) -> None:
    guest = shell.guest
    linux = guest.linux
    pointer = linux.memory.u64(guest.symbol("saved_command_line").address)
    assert linux.memory.string(pointer) == shell.ask("cat /proc/cmdline").strip()
    modules = guest.symbol("modules").address
    assert modules == linux.memory.u64(linux.memory.u64(modules) + 8)
    assert guest.locate(guest.symbol("init_task").address).function == "init_task"
    for name in ("init_task", "prb", "__per_cpu_offset"):
        assert guest.symbol(name).address - linux.address in range(linux.size)


def test_what_stays_unknown_is_listed(bookworm: Shell) -> None:
    guest = bookworm.guest
    unknown = guest.linux.unknown_symbols
    assert {"runqueues", "total_forks", "nr_threads", "super_blocks"} <= set(unknown)
    assert not {"init_task", "modules", "prb", "jiffies", "bpf_kallsyms"} & set(unknown)
    for name in unknown:
        with pytest.raises(UnknownSymbol):
            guest.symbol(name)


def test_a_kernel_with_all_symbols_has_none_unknown(sid: Shell) -> None:
    assert sid.guest.linux.unknown_symbols == ()


def test_what_code_refers_to_is_what_kallsyms_has(sid: Shell) -> None:
    linux = sid.guest.linux
    names = ("modules", "saved_command_line", "task_state_array", "slab_caches", "tainted_mask")
    for name in (*names, "btf_modules"):
        offset = linux._data_symbols._from_code(name)
        assert [offset] == [symbol.offset for symbol in linux.kallsyms.named(name)]


def test_a_watch_of_an_exported_variable_moves_with_the_kernel() -> None:
    with load(seed=5) as guest:
        watch = guest.watch("init_task", 8)
        linked = watch.address
        stop = guest.run(timeout=60)
        assert stop.hit is not None
        assert stop.hit.point is watch
        assert watch.address == linked + guest.linux.slide != linked
        with pytest.raises(UnknownSymbol, match="init_task"):
            guest.symbol("init_tusk")
        with pytest.raises(MissingKernelData, match="CONFIG_VMCORE_INFO"):
            _ = guest.linux.vmcoreinfo


def test_the_kernels_memory_while_a_program_is_executed(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With KPTI, TTBR1_EL1 has little of the kernel then."""
    guest = shell.guest
    address = guest.symbol("saved_command_line").address
    text = guest.linux.memory.string(guest.linux.memory.u64(address))
    shell.type(b"(while :; do :; done) & while :; do :; done")
    for _ in range(2000):
        guest.run(max_instructions=77_777)
        in_program = [n for n, cpu in enumerate(guest.vcpus) if not cpu.reg("pstate") & EL_MASK]
        if in_program:
            break
    else:
        pytest.fail("no stop in a program")
    # As if the other vCPU, whose tables may have all of the kernel, were in a program too.
    monkeypatch.setattr(guest.execution, "vcpus", (guest.execution.vcpus[in_program[0]],))
    guest.linux.memory.forget()
    assert guest.linux.memory.string(guest.linux.memory.u64(address)) == text


@pytest.mark.parametrize("is_header_gone", [False, True])
def test_a_kernel_that_is_found_says_where_it_was_linked(
    shell: Shell, is_header_gone: bool
) -> None:
    guest = shell.guest
    linux = guest.linux
    if is_header_gone:  # the kernel frees what is before its code
        guest.execution.write_phys(linux.physical_address, bytes(4096))
    found = Guest(guest.board).linux
    assert (found.physical_address, found.address) == (linux.physical_address, linux.address)
    assert (found.slide, found.link_address) == (linux.slide, linux.link_address)
    assert found.symbols("prb") == linux.symbols("prb") != []


@given(st.text())
def test_any_text_is_parsed(text: str) -> None:
    info = VmcoreInfo.parse(
        f"OSRELEASE=1.2\n{text}\nKERNELOFFSET=zz\nOFFSET(a.b)=x\nNUMBER(c)=0x10"
    )
    assert info.numbers["c"] == 16
    assert "a.b" not in info.offsets
    assert info.kernel_offset is None or "KERNELOFFSET" in text
