"""The hardware debug registers: which watchpoints and breakpoints they can hold, and how.

requests            what is asked of the registers, and how many there are
watched_ranges      overlapping watches as ranges that registers cover
shortage            messages for when the registers are too few
register_allocator  the values of DBGBCR, DBGBVR, DBGWCR and DBGWVR
"""
