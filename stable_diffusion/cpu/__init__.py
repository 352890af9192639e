"""What a CPU computes quicker than by PyTorch's first choice.

Read `benchmarks/step.py` for how much, and `docs/performance.md` for what was measured.
"""
