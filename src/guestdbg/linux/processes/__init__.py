"""The processes of a Linux guest.

layout       where the members of the kernel's structures are, by its BTF
tasks        ``task_struct``: lists of tasks, and which one a vCPU executes
recorded_tasks  which task made a hit that the provider records
mappings     the memory mappings of a process
memory       the memory of a process, through its page tables
files        paths of files, and their pages in the page cache
executables  the ELF files that a process has mapped
program      breakpoints in a program, whichever process executes it
names        names in the programs of processes, for points
followed     processes that execute other programs, and end
restriction  points in one process only
processes    ``Processes``, which brings all of this together
"""

from guestdbg.linux.processes.mappings import Mapping
from guestdbg.linux.processes.memory import ProcessMemory
from guestdbg.linux.processes.processes import Processes
from guestdbg.linux.processes.program import ProgramBreakpoint
from guestdbg.linux.processes.tasks import TaskSummary

__all__ = ["Mapping", "ProcessMemory", "Processes", "ProgramBreakpoint", "TaskSummary"]
