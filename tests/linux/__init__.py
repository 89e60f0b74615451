"""What is known of a Linux guest, against real kernels and synthetic tables."""
