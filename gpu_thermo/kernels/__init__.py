"""Kernel sources (headers beside this file) and `emit`, which completes them for one program and network."""
