"""Parts of the GPU check (bench/gpu_check.py): addresses, kernels against the CPU, sweep; all of them run on the CPU,
too.
"""
