"""Searches for guests, and for uses of the processor, that break it.

Cases follow from a kind and a seed. Kinds: ``cpu`` (the bare processor: random code, registers,
memory slots, tables, debug registers), ``soft`` (the same through the software KVM),
``translation`` (tables, compared with the tests' model), ``simd`` (SIMD and FP instructions, a
thousand of each seed, compared with Unicorn), ``pieces`` (the same program, interrupted
anywhere), ``packets`` (a debugger's client that sends anything to the server), ``framing`` (streams
of packets, compared with the tests' model; these two count packets as instructions), ``hits``
(programs with points of every kind, evaluated by the provider and by Python), ``files`` (files that
are damaged, or made to be expensive; counts changes as instructions), ``btf`` (a kernel's damaged
description of its types; likewise), ``devices`` (registers and queues of a board's devices; counts
accesses as instructions), ``tiers`` (cases of ``cpu`` and ``soft`` with the interpreter and with
stencils, compared). The others use the tier that their seed chooses, or GUESTDBG_TIER. They
run in separate processes; the processor is built with the address and undefined-behaviour
sanitizers into build/sanitizer. A failing case is shrunk and saved under build/fuzz, with the
command that runs it again.

    make fuzz                          until interrupted
    make fuzz FUZZ_SECONDS=600         for ten minutes
    python tools/fuzz.py --plain       with the processor as it is installed, not the sanitized one
    python tools/fuzz.py --replay cpu:1234[:ACTIONS[:LEFT-OUT,...]]
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORKER = ROOT / "tools" / "fuzz_worker.py"
SANITIZED = ROOT / "build" / "sanitizer"
FOUND = ROOT / "build" / "fuzz"
KINDS = (
    "cpu",
    "soft",
    "translation",
    "pieces",
    "packets",
    "framing",
    "hits",
    "files",
    "btf",
    "simd",
    "devices",
    "tiers",
)
ACTIONS = 24
BATCH = {
    "cpu": 100,
    "soft": 40,
    "translation": 30,
    "pieces": 20,
    "packets": 10,
    "framing": 20,
    "hits": 200,
    "files": 100,
    "btf": 200,
    "simd": 20,
    "devices": 40,
    "tiers": 40,
}
SECONDS = 600  # for a batch: hundreds of times what it takes


class CannotBuild(Exception):
    """The processor cannot be built with sanitizers here; the message gives the reason."""


class NoSanitizers(CannotBuild):
    """The compiler has none."""


@dataclass(frozen=True)
class Outcome:
    """The result of a batch of cases."""

    cases: int
    instructions: int
    failed: int | None  # the seed of the case that failed
    output: str
    did: Counter[str] = field(default_factory=Counter)  # how often each action was done


def runtime(name: str) -> Path:
    """The path of a sanitizer's shared library, from the compiler; it must be loaded first."""
    compiler = os.environ.get("CC", "gcc").split()[0]
    try:
        answer = subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoSanitizers(f"{compiler} does not run: {error}") from error
    if not os.path.isabs(answer):
        raise NoSanitizers(f"{compiler} has no {name} (Debian: part of libgcc-12-dev)")
    return Path(answer)


def build() -> dict[str, str]:
    """Builds the processor with the sanitizers, if it changed; returns the environment for it.

    Raises CannotBuild.
    """
    library = runtime("libasan.so")
    environment = os.environ | {
        "GUESTDBG_SANITIZE": "address,undefined",
        "GUESTDBG_REQUIRE_CPU": "1",
    }
    result = subprocess.run(
        [sys.executable, "setup.py", "-q", "build", f"-j{os.cpu_count() or 1}"]
        + ["--build-base", f"{SANITIZED}.tmp", "--build-lib", str(SANITIZED)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        raise CannotBuild(result.stdout[-3000:])
    return os.environ | {
        "LD_PRELOAD": str(library),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        # so that the sanitizer knows every object
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(SANITIZED),
    }


def run(
    environment: Mapping[str, str],
    kind: str,
    first: int,
    count: int,
    actions: int | None = None,
    leave_out: Sequence[int] = (),
) -> Outcome:
    """Cases first to first + count - 1, in a separate process."""
    command = [sys.executable, str(WORKER), kind, str(first), str(count)]
    if actions is not None:
        command.append(str(actions))
        if leave_out:
            command.append(",".join(map(str, leave_out)))
    # Temporary files of a process that is killed are removed, too.
    with (
        tempfile.TemporaryDirectory(prefix="guestdbg-fuzz-") as temporary,
        subprocess.Popen(
            command,
            env=dict(environment) | {"TMPDIR": temporary},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            output += f"\nkilled after {SECONDS} seconds"
        except BaseException:
            process.kill()
            raise
    begun, done, instructions = first - 1, 0, 0
    did: Counter[str] = Counter()
    for line in output.splitlines():
        words = line.split()
        if words[:2] == ["case", kind]:
            begun = int(words[2])
        elif words[:2] == ["done", kind]:
            done += 1
            instructions += int(words[3])
        elif words[:1] == ["did"]:
            did[" ".join(words[2:])] += int(words[1])
    failed = None
    if process.returncode or done != count:
        failed = max(begun, first)
        output += f"\nexit status {process.returncode}"
        at = output.find(f"case {kind} {failed}\n")
        output = output[max(at, 0) :]
    return Outcome(done, instructions, failed, output, did)


def shrink(environment: Mapping[str, str], kind: str, seed: int) -> tuple[int, list[int]] | None:
    """(actions, those that can be left out) with which the case still fails; None: not alone."""

    def fails(actions: int, leave_out: Sequence[int] = ()) -> bool:
        return run(environment, kind, seed, 1, actions, leave_out).failed is not None

    if not fails(ACTIONS):
        return None
    if kind not in ("cpu", "soft", "tiers"):
        return ACTIONS, []
    low, high = 0, ACTIONS
    while high - low > 1:
        middle = (low + high) // 2
        if fails(middle):
            high = middle
        else:
            low = middle
    leave_out: list[int] = []
    for number in range(high - 1):
        if fails(high, [*leave_out, number]):
            leave_out.append(number)
    return high, leave_out


def replay_of(kind: str, seed: int, actions: int, leave_out: Sequence[int]) -> str:
    what = f"{kind}:{seed}:{actions}"
    if leave_out:
        what += ":" + ",".join(map(str, leave_out))
    return what


def save(
    environment: Mapping[str, str], kind: str, outcome: Outcome, first: int, *, plain: bool
) -> Path:
    """Shrinks a failing case and saves it with the command to run it again."""
    seed = outcome.failed
    assert seed is not None
    option = " --plain" if plain else ""
    small = shrink(environment, kind, seed)
    if small is None:
        command = (
            f"It fails only after others: tools/fuzz_worker.py {kind} {first} {seed - first + 1}"
        )
        output = outcome.output
    else:
        what = replay_of(kind, seed, *small)
        command = f"To run it again: python tools/fuzz.py{option} --replay {what}"
        output = run(environment, kind, seed, 1, *small).output
    FOUND.mkdir(parents=True, exist_ok=True)
    path = FOUND / f"{kind}-{seed}.txt"
    path.write_text(f"{kind} {seed}\n{command}\n\n{output}\n")
    print(
        f"\n{kind} {seed} FAILS; {path.relative_to(ROOT)}\n{command}\n{output[-2500:]}", flush=True
    )
    return path


def fuzz(
    environment: Mapping[str, str],
    kinds: Sequence[str],
    *,
    first: int,
    seconds: float | None,
    instructions: int | None,
    plain: bool,
) -> int:
    """Batches of the kinds in turn, until time is up; the number of failures."""
    end = None if seconds is None else time.monotonic() + seconds
    cases: Counter[str] = Counter()
    total = failures = 0
    following = dict.fromkeys(kinds, first)
    try:
        while not failures or instructions is None:
            for kind in kinds:
                at = following[kind]
                outcome = run(environment, kind, at, BATCH[kind])
                following[kind] += outcome.cases
                cases[kind] += outcome.cases
                total += outcome.instructions
                if outcome.failed is not None:
                    failures += 1
                    following[kind] = outcome.failed + 1
                    save(environment, kind, outcome, at, plain=plain)
                print(
                    f"{kind} {at} to {following[kind] - 1}: {outcome.instructions:,} instructions; "
                    f"{total:,} in all, {failures} failures",
                    flush=True,
                )
                if end is not None and time.monotonic() >= end:
                    break
            else:
                if instructions is None or total < instructions:
                    continue
            break
    except KeyboardInterrupt:
        print()
    counts = ", ".join(f"{cases[kind]} {kind}" for kind in kinds)
    print(f"{total:,} instructions in cases from seed {first} on ({counts}): {failures} failures")
    return failures


def plain_environment() -> dict[str, str]:
    """The environment of workers that use the processor as it is installed."""
    environment = dict(os.environ)
    if (ROOT / "src").is_dir():
        environment["PYTHONPATH"] = str(ROOT / "src")
    return environment


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--plain", action="store_true", help="no sanitizers")
    parser.add_argument("--seconds", type=float, help="how long (default: until interrupted)")
    parser.add_argument("--instructions", type=int, help="or until so many were executed")
    parser.add_argument("--kind", choices=KINDS, action="append", help="one kind only")
    parser.add_argument("--seed", type=int, help="the first seed (default: any)")
    parser.add_argument("--replay", metavar="KIND:SEED[:ACTIONS[:LEFT-OUT]]")
    options = parser.parse_args()
    if options.plain:
        environment = plain_environment()
    else:
        print("building the processor with sanitizers", flush=True)
        try:
            environment = build()
        except CannotBuild as why:
            print(f"cannot build with sanitizers: {why}\n(--plain runs without)", file=sys.stderr)
            return 1
    if options.replay:
        kind, seed, *rest = options.replay.split(":")
        if kind not in KINDS or not seed.isdecimal():
            parser.error(f"--replay {options.replay}: must be KIND:SEED, KIND one of {KINDS}")
        actions = int(rest[0]) if rest else ACTIONS
        leave_out = [int(n) for n in rest[1].split(",")] if len(rest) > 1 else []
        outcome = run(environment, kind, int(seed), 1, actions, leave_out)
        print(outcome.output)
        return int(outcome.failed is not None)
    first = options.seed if options.seed is not None else random.SystemRandom().getrandbits(40)
    failures = fuzz(
        environment,
        options.kind or KINDS,
        first=first,
        seconds=options.seconds,
        instructions=options.instructions,
        plain=options.plain,
    )
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
