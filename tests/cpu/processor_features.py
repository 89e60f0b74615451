"""Identification for tests that need features which a bare `Processor` does not have."""

from guestdbg.cpu.identification import identification

#: A bare processor with the LSE atomics of Armv8.1.
LSE = identification("crc32,lse")
#: What SIMD and FP rows need, and Unicorn's "max" processor has.
SIMD = identification("crc32,lse,aes,pmull,sha1,sha256,sha512,sha3,rdm,dotprod,fhm,fp16,jscvt,fcma")
