"""Starts, supervises and stops the whole service on one machine: `python -m launcher up|demo`.

The launcher imports none of the code that its processes run, so it starts quickly and keeps
running when one of them dies.
"""
