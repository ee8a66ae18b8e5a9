"""What the batched engine asks of an array library: NumPy, NumPy with compiled noise, CuPy."""
