"""Parts of the GPU check (bench/gpu_check.py): addresses, kernels against the CPU, tools, sweep. `--device cpu` runs all of it without one."""
