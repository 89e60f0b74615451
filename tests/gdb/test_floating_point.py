"""Floating point in GDB and LLDB: V registers in their views, FPSR, variables, conditions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debugger.compiled import compiled, line_of, needs_gcc

from .gdb_client import gdb, needs_gdb, server
from .lldb_client import lldb, needs_lldb

pytestmark = needs_gcc

TCP = "tcp:127.0.0.1:0"
SOURCE = r"""
#define NOINLINE __attribute__((noinline))
volatile double total;
volatile float ratio = 0.1f;
double samples[4] = { 1.5, 2.5, 3.5, 4.5 };
NOINLINE double half(double value, float by)
{
	return value * by; /* half */
}
NOINLINE void add(double value)
{
	total += value; /* add */
}
int main(void)
{
	for (int n = 0; n < 40; n++)
		add(half(samples[n % 4] * n, 0.5f));
	return 0;
}
"""


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("gdb"), {"floats.c": SOURCE}, floats=True)


@needs_gdb
def test_gdb_reads_and_writes_registers(elf: Path) -> None:
    with server(elf) as running:
        found = gdb(
            running.target,
            """
            connect()
            run("hbreak half")
            for _ in range(4):
                run("continue")
            report(d0=run("print $d0.f"), s1=run("print $s1.f"), value=run("print value"),
                by=run("print by"), lane=run("print/x $v0.d.u[0]"), lanes=run("print $v0.d.f"))
            run("set $v0.d.f[0] = 100.0")
            run("set $v31.s.u[3] = 0x12345678")
            run("set $v30.b.u[15] = 7")
            run("set $s1.f = 0.25")
            run("set $q29.u = 5")
            report(written=run("print $d0.f"), top=run("print/x $q31.u"),
                byte=run("print/x $q30.u"), single=run("print $s1.f"), q29=run("print $q29.u"))
            run("set $fpsr = 0x10")
            run("set $fpcr = 0x01000000")
            report(fpsr=run("info registers fpsr"), fpcr=run("info registers fpcr"))
            run("set $fpcr = 0")
            run("delete")
            run("finish")
            report(result=run("print $d0.f"), monitor=run("monitor register d0"),
                all=run("info vector"))
            report(done=1)
            """,
            symbols=elf,
        )
    assert found["d0"].endswith("= 13.5\n")
    assert found["s1"].endswith("= 0.5\n")
    assert found["value"].endswith("= 13.5\n")
    assert found["by"].endswith("= 0.5\n")
    assert found["lane"].endswith("= 0x402b000000000000\n")
    assert found["lanes"].endswith("= {13.5, 0}\n")
    assert found["written"].endswith("= 100\n")
    assert "0x12345678000000000000000000000000" in found["top"]
    assert "0x7000000000000000000000000000000" in found["byte"]
    assert (found["single"][-7:], found["q29"][-4:]) == ("= 0.25\n", "= 5\n")
    assert found["fpsr"].split()[1:] == ["0x10", "[", "IXC", "]"]
    assert {"0x1000000", "FZ"} < {*found["fpcr"].split()}
    assert found["result"].endswith("= 25\n")
    assert found["monitor"] == "d0 = 0x4039000000000000 (25.0)\n"
    assert "d29" in found["all"]


@needs_gdb
def test_gdb_conditions_and_watchpoints(elf: Path) -> None:
    """GDB evaluates conditions with floats itself; `monitor watch` has the server do it."""
    with server(elf) as running:
        found = gdb(
            running.target,
            f"""
            connect()
            run("tbreak main")
            run("continue")
            run("hbreak half if $d0.f > 60.0")
            run("continue")
            report(d0=run("print $d0.f"))
            run("delete")
            run("break floats.c:{line_of(SOURCE, "* add *")} if value > 40.0")
            run("continue")
            report(value=run("print value"), before=run("print total"))
            run("delete")
            run("watch total if total > 600.0")
            run("continue")
            report(total=run("print total"))
            run("delete")
            run("monitor watch total if new > 700.5 and (d0 == new or d1 == new)")
            report(said=run("continue"), last=run("print total"))
            report(done=1)
            """,
            symbols=elf,
        )
    total, seen = 0.0, []
    for n in range(40):
        total += (1.5, 2.5, 3.5, 4.5)[n % 4] * n * 0.5
        seen.append(total)
    assert float(found["d0"].split("=")[1]) > 60
    assert float(found["value"].split("=")[1]) > 40
    assert float(found["total"].split("=")[1]) == next(t for t in seen if t > 600)
    expected = next(t for t in seen if t > 700.5)
    assert float(found["last"].split("=")[1]) == expected
    assert f"-> {expected!r}" in found["said"]


@needs_lldb
def test_lldb_reads_and_writes_registers(elf: Path) -> None:
    with server(elf, listen=TCP) as running:
        found = lldb(
            running.target,
            """
            connect()
            run("breakpoint set --hardware --name half")
            for _ in range(4):
                run("continue")
            report(value=frame().FindVariable("value").GetValue(),
                by=frame().FindVariable("by").GetValue(), v0=run("register read v0"))
            run("register write v3 '{1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16}'")
            run("register write fpsr 0x10")
            report(v3=run("register read v3"), fpsr=register("fpsr"))
            run("breakpoint delete 1")
            run("breakpoint set --name add")
            run("continue")
            report(total=target.FindFirstGlobalVariable("total").GetValue())
            report(done=1)
            """,
            symbols=elf,
        )
    assert float(found["value"]) == 13.5
    assert float(found["by"]) == 0.5
    assert "0x2b 0x40" in found["v0"]
    assert "{0x01 0x02 0x03" in found["v3"]
    assert found["fpsr"] == 0x10
    assert float(found["total"]) == 0 + 1.25 + 3.5
