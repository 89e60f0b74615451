"""Guest memory: virtual addresses, BRK instructions in it, and integers.

integer_access  reading and writing little-endian integers
address_space   virtual memory, through the guest's page tables
presence        whether there is anything at a virtual address
brk_patches     BRK instructions of the debugger, hidden from readers
regions         the region around a virtual address, with its permissions
mapped_ranges   all that a vCPU's page tables map
"""
