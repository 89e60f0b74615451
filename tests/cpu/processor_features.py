"""Identification for tests that need features which a bare `Processor` does not have."""

from guestdbg.cpu.identification import identification

#: A bare processor with the LSE atomics of Armv8.1.
LSE = identification("crc32,lse")
