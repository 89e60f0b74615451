"""The processing element: Armv8-A, AArch64, EL0 and EL1, with the debug architecture whole."""
