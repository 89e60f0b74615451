"""The command line: one file a command, found by its name and imported when it is used.

running       what the commands that run a guest share: options, terminal, hits, summary
explain       a register in words; the registers that a watch or break would arm
campaign      thousands of runs of a guest from one place
faults        what skipped instructions and flipped bits lead to
caps          what the provider can do
check         the conformance suite
differential  random programs on two KVMs, compared exit by exit
lab           a command on a real arm64 KVM, in an emulated machine
fuzz          a guest as the target of AFL++
gdb           a guest for GDB or LLDB
report        a page of HTML from the log of a run
run           a guest with breakpoints and watchpoints
replay        a recorded run again
trace         a recorded trace of instructions in another form
tui           a guest in an interface in the terminal
fault_results  the results of faults, as text and as a page
provider_options  --provider, --cpu and --linux
source_option     --source
lab_options   the options that choose the lab's machine
output_file   a file that a command writes, without harm to another one
lasting_objects   what the garbage collector need not look at
standard_streams  stdin, stdout and stderr, also where they are closed
wrapping      long lines, broken at the width of the terminal
group         the command `guestdbg` itself: finds the others and turns errors into messages

There are more than fifteen modules because each command is one.
"""

from guestdbg.cli.group import main

__all__ = ["main"]
