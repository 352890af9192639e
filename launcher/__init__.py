"""Start, watch and end the whole service on one machine: `python -m launcher up|demo`.

The launcher only handles processes: it imports nothing of what they import, so it starts at once
and lives on when one of them dies.
"""
