"""Parameters and local variables: what GDB reads at every instruction, and what we read."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestdbg.debugger import Cpu, load
from guestdbg.debugger.errors import VariableUnavailable
from guestdbg.debugger.program.drgn_objects import scalar
from tests.debugger.compiled import compiled, needs_gcc

from .gdb_client import gdb, needs_gdb, server

pytest.importorskip("drgn", reason="drgn runs on Linux only")
pytestmark = [needs_gcc, needs_gdb]

STEPS = 700
SOURCE = r"""
enum kind { IDLE, READ = 3, WRITE };
struct job {
	struct job *next; enum kind kind; unsigned char size; _Bool done; short left; int worth[3];
};
volatile int sum, depth = 77;
volatile long total;
static struct job jobs[4];
#define NOINLINE __attribute__((noinline))

static inline __attribute__((always_inline)) int weight(const struct job *j, int scale)
{
	int w = j->worth[1] * scale;
	sum += w;
	return w + j->size;
}
NOINLINE int handle(struct job *j, unsigned char code, long wide, _Bool last, signed char small)
{
	int left = j->left - code;
	static int calls;
	calls++;
	total += wide;
	if (last) {
		long left = wide * 2;
		total += left;
	}
	for (int i = 0; i < 3; i++) {
		int part = weight(j, i + small);
		sum += part + i;
	}
	j->done = left < 0;
	return left + calls;
}
NOINLINE int dive(int depth)
{
	int left = 20 - depth;
	sum = depth;
	if (left <= 0)
		return 0;
	return dive(depth + 1) + left;
}
NOINLINE void fill(int *to, int count, int value)
{
	while (count-- > 0) {
		*to++ = value;
		value += 3;
	}
	sum = value;
}
int main(void)
{
	for (int n = 0; n < 4; n++) {
		struct job *j = &jobs[n];
		j->next = &jobs[(n + 1) % 4];
		j->kind = n & 1 ? WRITE : READ;
		j->size = 250 + n;
		j->left = -3 + n * 2;
		fill(j->worth, 3, n * 100);
	}
	for (int n = 0; n < 8; n++)
		sum += handle(&jobs[n % 4], n, (long)n << 33, n == 7, -n);
	sum += dive(0);
	return 0;
}
"""
FLOATS = r"""
volatile double sum, scale = 1.25;
volatile float total;
static double samples[6] = { 1.5, -2.5, 1e10, 0.0, 4.0, -0.125 };
#define NOINLINE __attribute__((noinline))

static inline __attribute__((always_inline)) double weight(const double *from, float by)
{
	double w = from[0] * by;
	sum += w;
	return w - by;
}
NOINLINE double handle(const double *from, int n, double offset, float by, double limit)
{
	double most = from[0], last = offset;
	for (int i = 1; i < n; i++) {
		float part = (float)weight(from + i, by);
		last = part + offset;
		if (last > most)
			most = last;
		total += part;
	}
	sum = last;
	return most > limit ? limit : most;
}
NOINLINE float mix(float a, int n, float b, long m, float c)
{
	float r = a * b + c;
	sum = n + m;
	return r - a;
}
NOINLINE double dive(double depth)
{
	sum = depth;
	if (depth > 8.0)
		return depth;
	return dive(depth * scale) + depth;
}
int main(void)
{
	for (int n = 1; n < 60; n++) {
		sum = handle(samples, n % 6, n * 0.5, n * 2.0f, 1e6);
		total = mix(total, n, 0.5f, n * 3, 1.0f);
	}
	sum += dive(1.0);
	return 0;
}
"""
#: After each step GDB's values of all numbers and pointers in scope; None: optimised out.
#: Of unoptimised code, GDB reads parameters before they are stored: nothing then.
SCRIPT = f"""
connect()
run("tbreak *main")
run("continue")

def number(symbol, frame):
    value = frame.read_var(symbol)
    kind = value.type.strip_typedefs().code
    if kind in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_ARRAY):
        return "no number"
    if value.is_optimized_out:
        return None
    return float(value) if kind == gdb.TYPE_CODE_FLT else int(value)

def variables():
    frame, names = gdb.selected_frame(), {{}}
    try:
        block = frame.block()
    except RuntimeError:
        return names  # _start has no debug information
    while block is not None:
        for symbol in block:
            if (symbol.is_variable or symbol.is_argument) and symbol.name not in names:
                names[symbol.name] = number(symbol, frame)
        if block.function is not None:
            break
        block = block.superblock
    while block.superblock is not None and not block.superblock.is_static:
        block = block.superblock
    prologue = pc() <= gdb.find_pc_line(block.start).last
    return {{name: value for name, value in names.items() if not (prologue and UNOPTIMISED)}}

found = []
for step in range({STEPS}):
    found.append([pc(), variables()])
    run("stepi")
report(found=found)
report(done=1)
"""


def value_of(cpu: Cpu, name: str) -> int | float | None:
    """The value of a variable, as for ``number`` above."""
    try:
        return scalar(cpu[name])
    except VariableUnavailable:
        return None


@pytest.mark.parametrize(
    "flags",
    [("-O0",), ("-Og",), ("-O1", "-gdwarf-4"), ("-O2",), ("-O3", "-fomit-frame-pointer")],
    ids=" ".join,
)
@pytest.mark.parametrize("source", [SOURCE, FLOATS], ids=["integers", "floats"])
def test_every_variable_has_the_value_that_gdb_reads(
    flags: tuple[str, ...], source: str, tmp_path: Path
) -> None:
    path = compiled(tmp_path, {"locals.c": source}, ("-g", *flags), floats=source is FLOATS)
    with server(path) as running:
        script = f"UNOPTIMISED = {'-O0' in flags}\n{SCRIPT}"
        found = gdb(running.target, script, symbols=path)["found"]
    agreed = missing = 0
    with load(path, provider="soft", console=None) as guest:
        guest.run(until="main")
        cpu = guest.cpu
        for step, (pc, variables) in enumerate(found):
            assert cpu.pc == pc, step
            for name, value in variables.items():
                if value == "no number":
                    continue
                read = value_of(cpu, name)
                assert read is None or repr(read) == repr(value), (step, hex(pc), name, read, value)
                agreed += read is not None and value is not None
                missing += read is None and value is not None
            guest.step()
    # GDB searches the caller for the arguments that the function no longer has. We do not.
    assert agreed > (1000 if source is SOURCE else 400)
    assert missing < agreed if "-O0" not in flags else not missing
