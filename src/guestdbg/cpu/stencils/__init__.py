"""Cuts stencils from the instructions' functions when the processor is built (setup.py).

A stencil is the machine code of one instruction's function with holes for the operands.
translation.pyx lays stencils end to end. This package runs in the build only, needs nothing but
Python, and is imported by setup.py as a package of its own, because guestdbg is not there yet.

source       the C source of the stencils, from what Cython wrote
assembly     where the usual path of a function ends, in the compiler's output
machine      what of it depends on the host's processor
x86_64       machine code of x86-64
aarch64      machine code of aarch64
object_file  sections, symbols and relocations of an ELF object
holes        the numbers of holes and of kinds of patches
cut          checked machine code of each function, with its patches
table        the C source of a module's table
build        all of it, for setup.py
"""
