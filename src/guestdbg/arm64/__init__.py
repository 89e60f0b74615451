"""What the Arm architecture defines: registers, encodings, syndromes, page tables, instructions.

Only functions and constants: no state, no input or output. Everything else in guestdbg builds on
it. Section numbers refer to the Arm Architecture Reference Manual (DDI 0487).

    errors              what the functions raise
    fields              how register layouts are declared, taken apart and described

Registers
    sysregs             names and encodings of the system registers
    debug               DBGBCR, DBGBVR, DBGWCR, DBGWVR: layouts, and values for a range
    control             control and state registers of EL1, and those of EL2 for debugging
    idregs              identification registers
    idregs32            identification registers of AArch32
    pstate              PSTATE as plain ints, for code that runs at every stop

Processors
    features            features, and the identification registers that state them
    cpu_models          sets of features: the processors that can be chosen

Exceptions
    exception_class     ESR_ELx.EC, for code that runs at every stop
    faults              fault status codes
    iss                 one class for each layout of the syndrome
    esr                 ESR_ELx as a whole
    registers           every layout above by name

Memory and instructions
    translate           the translation table walk
    mappings            all that the translation tables map
    branches            where a branch goes
    loadstore           what a load or store accesses
    structures          which byte of which register LD1 to LD4 and ST1 to ST4 access
    instructions        accesses, classes and properties of an instruction
    data_flow           where an instruction takes the bytes from that it writes
    register_reads      which registers an instruction reads
    disassembly         instructions as text
    exclusive_sequence  load-exclusive/store-exclusive sequences
    extension_encodings       the extension that an instruction belongs to
    extension_encodings_simd  its rows for SIMD and floating point
    psci                function ids and results of PSCI

The package is flat although it has more than fifteen modules: each module is one topic of the
manual, and programs import it by that name.
"""
