"""What this service costs, measured beside its peers in the same run: `make bench`.

One idea a file, each with a `measure(options)` that yields `Figure`s; `__main__` lists them.
"""

from worker.cores import limit_openmp_spinning

limit_openmp_spinning()  # like a worker, before torch is imported
