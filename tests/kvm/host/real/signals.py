"""Kicks, and signals that are none; threads that die."""

import errno
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from guestdbg.check import assembler as asm
from guestdbg.kvm import Exit, ExitIntr, ExitMmio, KvmError
from guestdbg.kvm.constants import KVM_ARM_VCPU_POWER_OFF
from guestdbg.kvm.regs import core_reg

from .rig import DONE, RAM, SPIN, Rig, Runner, case, refused

_WFI = 0xD503207F


def _counting(rounds: int) -> list[int]:
    """Counts X0 down from ``rounds``, then it is done."""
    return [*asm.mov(0, rounds), asm.subs(0, 0, 1), asm.b_cond("ne", -4), *DONE]


@case
def a_kick_gets_a_thread_out() -> None:
    for words in ((SPIN,), (_WFI, asm.b(-4))):
        with Rig(*words) as rig:
            runner = Runner(rig.vcpu)
            runner.wait_until_inside()
            rig.vcpu.kick()
            assert runner.result() == ExitIntr()
            # and the main thread, by another
            threading.Timer(0.05, rig.vcpu.kick).start()
            assert rig.vcpu.run() == ExitIntr()


@case
def a_kick_gets_a_powered_off_vcpu_out() -> None:
    with Rig(SPIN, features=(KVM_ARM_VCPU_POWER_OFF,)) as rig:
        runner = Runner(rig.vcpu)
        runner.wait_until_inside()
        rig.vcpu.kick()
        assert runner.result() == ExitIntr()


@case
def a_kick_before_run_is_not_lost() -> None:
    with Rig(SPIN) as rig:
        rig.vcpu.kick()
        rig.vcpu.kick()
        assert rig.vcpu.run() == ExitIntr()
        threading.Timer(0.05, rig.vcpu.kick).start()
        began = time.monotonic()
        assert rig.vcpu.run() == ExitIntr()
        assert time.monotonic() - began > 0.02, "two kicks before a run are one"


@case
def no_kick_is_lost_wherever_it_comes() -> None:
    """At random times: before the entry, in the guest, on the way out. Each must end a run."""
    seed = random.SystemRandom().getrandbits(32)
    chance = random.Random(seed)
    came = threading.Semaphore(0)
    ended = threading.Event()
    with Rig(SPIN) as rig:

        def runs() -> None:
            while not ended.is_set():
                assert rig.vcpu.run() == ExitIntr()
                came.release()

        thread = threading.Thread(target=runs, daemon=True)
        thread.start()
        for n in range(400):
            for _ in range(chance.randrange(200)):
                pass
            rig.vcpu.kick()
            assert came.acquire(timeout=10), f"kick {n} was lost (seed {seed})"
        ended.set()
        rig.vcpu.kick()
        thread.join(10)
        assert not thread.is_alive()


@case
def a_thread_that_blocks_all_signals_can_be_kicked() -> None:
    with Rig(SPIN) as rig:

        def block() -> None:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

        runner = Runner(rig.vcpu, block)
        runner.wait_until_inside()
        rig.vcpu.kick()
        assert runner.result() == ExitIntr()


@case
def a_storm_of_signals() -> None:
    """Thousands of them, and the guest still comes to its end; each run() says that it did not."""
    heard = 0

    def hear(*unused: object) -> None:
        nonlocal heard
        heard += 1

    with Rig(*_counting(60_000_000)) as rig:
        before = signal.signal(signal.SIGALRM, hear)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        interrupted = 0
        try:
            while True:
                exit_: Exit = rig.vcpu.run()
                if exit_ != ExitIntr():
                    break
                interrupted += 1
                assert rig.get("x0") <= 60_000_000  # other calls work in it as well
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert isinstance(exit_, ExitMmio), exit_
        assert heard > 20, heard
        assert interrupted > 20, interrupted


@case
def ctrl_c_leaves_run_and_the_vcpu_can_go_on() -> None:
    with Rig(SPIN) as rig:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            while True:
                rig.vcpu.run()
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGINT, before)
        assert rig.get("pc") == RAM
        rig.vcpu.kick()
        assert rig.vcpu.run() == ExitIntr()


@case
def a_thread_that_died_is_replaced_by_another() -> None:
    class Broken(Exception):
        pass

    with Rig(*_counting(2000)) as rig:

        def fail() -> None:
            raise Broken

        first = Runner(rig.vcpu, fail)
        first.join(10)
        assert isinstance(first.error, Broken)
        rig.vcpu.kick()  # no run is under way; the kick is for the next
        second = Runner(rig.vcpu)
        assert second.result() == ExitIntr()
        rig.vcpu.kick()
        third = Runner(rig.vcpu)
        assert third.result() == ExitIntr()
        assert isinstance(Runner(rig.vcpu).result(), ExitMmio)


@case
def calls_while_it_runs_are_refused_not_waited_for() -> None:
    with Rig(SPIN) as rig:
        vcpu = rig.vcpu
        runner = Runner(vcpu)
        runner.wait_until_inside()
        for call in (
            vcpu.run,
            vcpu.get_reg_list,
            vcpu.close,
            rig.vm.close,
            lambda: vcpu.get_one_reg(core_reg("x0")),
            lambda: vcpu.set_one_reg(core_reg("x0"), 1),
            lambda: vcpu.init(rig.init),
        ):
            with refused(errno.EBUSY, "running in another thread"):
                call()
        vcpu.kick()
        runner.result()


@case
def the_child_of_a_fork_is_told() -> None:
    """A machine is its process's; the child can have one of its own, kicks included."""
    with Rig(SPIN) as rig:
        rig.vcpu.kick()
        rig.vcpu.run()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                try:
                    rig.vcpu.run()
                except KvmError as error:
                    assert error.errno == errno.EIO, error
                    assert "fork" in str(error), error
                with Rig(SPIN) as own:
                    threading.Timer(0.05, own.vcpu.kick).start()
                    assert own.vcpu.run() == ExitIntr()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0, "see above"
        rig.vcpu.kick()
        assert rig.vcpu.run() == ExitIntr()


@case
def threads_with_the_number_of_one_that_ended_are_kicked_too() -> None:
    """Python's number of a thread is used again at once; a kick must find the one of now."""
    numbers = set()
    with Rig(SPIN) as rig:
        for _ in range(20):
            runner = Runner(rig.vcpu)
            runner.wait_until_inside()
            numbers.add(runner.ident)
            rig.vcpu.kick()
            assert runner.result() == ExitIntr()
    assert len(numbers) < 20, "no number came twice: this has tried nothing"


@case
def a_vcpu_that_goes_to_and_fro_is_kicked_out_of_either_thread() -> None:
    """Both threads stay alive, so that neither notices the end of the other."""
    with Rig(SPIN) as rig, ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for thread in (one, other, other, one) * 5:
            exit_ = thread.submit(rig.vcpu.run)
            time.sleep(0.02)
            rig.vcpu.kick()
            assert exit_.result(10) == ExitIntr()
