"""Threads beside the jobs: leases, reaper, sweeper, heartbeat, webhooks."""
