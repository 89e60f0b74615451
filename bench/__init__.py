"""`python -m bench`: how fast guestdbg is, compared with other tools in the same run.

Absolute figures depend on the machine; compare ratios.

measurement     what a measurement is, and how repeated runs become one figure
loop_guest      the guest of most measurements: a loop of six instructions
qemu            QEMU, started stopped, and a small client for its GDB stub
gdb_client      GDB with a Python script
gdb_server      `guestdbg gdb`, started stopped
process         how guestdbg is started as a process that is measured
uboot_prompt    the time from the start of a process to U-Boot's prompt
linux_guest     Linux with a shell, on guestdbg and on QEMU
linux_gdb       GDB connected to it, on guestdbg and on QEMU
linux_tasks     the tasks of Linux, listed by drgn
linux_scripts   the same through GDB, by the kernel's own scripts
page_walk       the page tables of Linux through GDB
linux_armed     Linux booted with points armed, a process of its own
linux_memory    Linux booted, and the memory that it took, a process of its own
python_api      guestdbg through its Python API
suite_programs  the programs of bench/suite on guestdbg, QEMU and Unicorn
host            measurements on a real KVM, in the lab
measurements    one file for each measurement
environment     the machine, the commit, the versions of the other tools
record          the figures of a run, and their JSON file
tables          the tables that a run prints
history         kept runs: bench/history/*.json
comparison      two runs, figure by figure
page            the tables of docs/performance.md
"""
