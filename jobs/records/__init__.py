"""The records of jobs in Redis, their queue and leases, and what is cleaned up after them."""
