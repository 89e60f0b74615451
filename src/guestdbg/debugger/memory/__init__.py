"""Guest memory: virtual addresses, BRK instructions in it, and integers.

integer_access  reading and writing little-endian integers
address_space   virtual memory, through the guest's page tables
brk_patches     BRK instructions of the debugger, hidden from readers
regions         which virtual addresses are mapped, with which permissions
"""
