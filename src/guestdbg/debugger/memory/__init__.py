"""Guest memory: virtual addresses, BRK instructions in it, and integers.

integer_access  reading and writing little-endian integers
address_space   virtual memory, through the guest's page tables
presence        whether there is anything at a virtual address
brk_patches     BRK instructions of the debugger, hidden from readers
regions         which virtual addresses are mapped, with which permissions
"""
