"""The processing element: Armv8-A, AArch64, EL0 and EL1, with the complete debug architecture.

Compiled by Cython (.pyx, .pxd); Python code imports `processor`. EL2 is the caller: an exception
to EL2 ends `Processor.run()`.

core.pxd             what the modules share: struct Cpu, decoded instructions, fast paths
dispatch.h           how one instruction's function reaches the next
operands.h           where operands come from; stencil_table.h: what a module's stencils are
stencils             cuts them when the processor is built
register_bits        bits of control registers (.pxd only)
features             which optional instructions there are (.pxd only)
operands             the operands of a decoded instruction (.pxd only)
operand_forwarding   values passed in a host register from one instruction to the next
fp                   floating-point arithmetic
pointer_auth         pointer authentication codes
qarma                QARMA5, which computes them
timer                the generic timer
gic                  the virtual CPU interface of a GIC
exception            taking exceptions to EL1 and EL2, ERET
debug                breakpoints, watchpoints, software step
mmu                  translation, the slow path of memory accesses
address_space        the tables of an address space (.pxd only)
tlb                  the TLBs and jump tables of address spaces, and their maintenance
page_tables          TLBs that follow the tables, for runs that are to be repeated
sysreg_traps         which accesses to system registers are trapped
sysreg               the system registers
conditions           the conditions of hit programs
condition_floats     their floating point
coverage             which instructions were executed
flow_trace           where control went: calls, returns, exceptions, contexts
instruction_trace    what each instruction did: registers and accesses
hit_programs         breakpoint and watchpoint hits that are decided here
link_stencils        what stencils of instructions are joined with
translation          blocks that are executed often: machine code from stencils
tier                 whether they are, as the environment says
core                 run loop, decode table, block cache
memory               the physical memory of a VM
dirty_pages          which pages of it were written
page_store           the contents of guest memory in snapshots
state                the whole state of a processor, for snapshots
state_fields         the same field by field, for files
hit_program_objects  hit programs as Python objects
processor_binding    the processor as a Python object
identification       the identification registers of a processor model
instructions         the instructions: a module per group, which fills the decode table
processor            what Python code imports; fills the decode table

There are more than fifteen modules because each is a compilation unit: the C compiler inlines only
within one, and functions that must not be inlined together are kept apart.
"""
