"""Layers that are faster on a CPU than PyTorch's default kernels.

`benchmarks/step.py` measures them; `docs/performance.md` has the results.
"""
