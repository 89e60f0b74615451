"""Parameters and local variables of functions: where they are at an instruction, and their values.

location          where a variable is at an address, by its DWARF location
arguments         the registers in which the arguments of a function arrive
type_size         the size of a variable, before room is made for it
stack_frame       the variables of functions by drgn, from the registers of a vCPU
scope_source      names that no debug information has, such as those of BTF
scoped_variables  names as the code at an address sees them: its own variables, then the guest's
"""
