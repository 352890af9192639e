"""A worker process: Celery wakes it, it claims a job, and the engine generates the images.

`execution/` executes one job, `models/` keeps the models, `background/` holds the other threads.
The modules beside these folders start and stop the process.
"""
