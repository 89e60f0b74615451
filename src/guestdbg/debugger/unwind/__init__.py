"""Who called whom: the frames of the guest's stack.

prologue_analysis  the caller's frame, from the instructions of a function
backtrace          frames, why there are no more, and recursion shown once
unwinder           frames by call frame information, by prologue analysis, or by frame records
"""
