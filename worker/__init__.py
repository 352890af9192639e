"""Where transport and engine meet: Celery wakes it, it claims a job, the engine draws."""
