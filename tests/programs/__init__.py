"""Real programs as guests: they use floating point and SIMD as compilers emit them."""
