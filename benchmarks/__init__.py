"""What this service costs, measured beside its peers in the same run: `make bench`.

One idea a file, each with a `measure(options)` that yields `Figure`s; `__main__` lists them.
"""

from jobs.malloc_options import keep_freed_memory
from worker.cores import KEPT_MIB, limit_openmp_spinning

# like a worker, before torch is imported
limit_openmp_spinning()
keep_freed_memory(KEPT_MIB)
