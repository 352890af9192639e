"""Threads that run beside the jobs: leases, reaper, sweeper, heartbeat, webhooks."""
