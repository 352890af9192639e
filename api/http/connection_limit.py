"""How many connections a process may have open."""

import resource

MAX_CONNECTIONS = 1000
"""How many connections may be open. One more, and the client with most of them loses one."""


_OTHER_FILES = 256


def connections_for(threads: int) -> int:
    """How many connections this process may have open; raises its limit of files if it can.

    Args:
        threads: each may open a connection to Redis and a file of the store.
    """
    wanted = MAX_CONNECTIONS + 3 * threads + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(threads + 1, MAX_CONNECTIONS - (wanted - soft))
    return MAX_CONNECTIONS
