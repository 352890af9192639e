"""One job, from its claim to its published images: `execute_job` reads top to bottom."""

import json
from contextlib import ExitStack
from math import prod

import structlog

from jobs.errors import RecordsUnavailable
from jobs.names import JobType
from jobs.pictures.store import TRANSIENT
from jobs.records.claim import Claim, ClaimStatus
from jobs.validation.request import Upscale
from jobs.validation.stored_request import read_stored
from stable_diffusion.stopwatch import Stopwatch
from worker.errors import JobStopped, StopReason
from worker.execution.active_job import ActiveJob
from worker.execution.endings import end_job, fail_job, publish, stop_job
from worker.execution.execution_context import ExecutionContext
from worker.execution.failures import is_device_error, is_out_of_memory
from worker.execution.image_generator import ImageGenerator
from worker.execution.inputs import read_inputs
from worker.execution.job_part import job_parts_of
from worker.execution.job_warnings import JobWarnings, warnings_of
from worker.execution.prompt_jobs import low_memory, prompt_jobs_of
from worker.execution.room import cell_of, has_grid, room_of
from worker.execution.upscale_job import upscale_and_publish
from worker.execution.upscale_step import UpscaleStep, final_size

log = structlog.get_logger(__name__)

LOW_MEMORY_WARNING = (
    "memory ran out, so the images were generated in the mode that needs the least memory"
)


def execute_job(context: ExecutionContext, job_type: JobType) -> StopReason | None:
    """Claim the next job of a type and execute it to its end. Does nothing when none waits.

    Returns:
        Why the job was stopped, or None if it was not.
    """
    claim = claim_job(context, job_type)
    return None if claim is None else execute_claim(context, claim)


def claim_job(context: ExecutionContext, job_type: JobType) -> Claim | None:
    """Claim the next job of a type; None if none waits, or if Redis does not answer."""
    try:
        claim = context.claims.claim(job_type, context.worker_id)
    except RecordsUnavailable as error:
        # the job keeps its position in the queue, and a reaper sends another message for it
        log.warning("no job could be claimed", reason=str(error))
        return None
    if claim is None:
        log.debug("no job to claim", type=job_type)
    return claim


def execute_claim(context: ExecutionContext, claim: Claim) -> StopReason | None:
    """Execute a claimed job to its end. Never raises, whatever the job does.

    Returns:
        Why the job was stopped, or None if it was not.
    """
    with (
        structlog.contextvars.bound_contextvars(job=claim.job_id, attempt=claim.attempt),
        context.leases.keep(claim) as job,
    ):
        log.info("job claimed", type=claim.type, model=claim.model)
        device_suspect = False
        try:
            status = _generate_with_retry(context, job)
        except JobStopped as stopped:
            return stop_job(context, claim, stopped.reason)
        except Exception as error:  # noqa: BLE001 - the worker must survive every job
            device_suspect = is_out_of_memory(error) or is_device_error(error)
            status = fail_job(context, claim, error)
        finally:
            context.reporter.discard(job)
        # The job has failed by now: a job handed back would break one worker after another.
        # Outside the handler, because the error's frames hold memory that must be free here.
        if device_suspect and not context.free_and_probe():
            log.error("the device cannot compute any more")
            context.on_device_failure()
        return end_job(context, claim, status)


def _generate_with_retry(context: ExecutionContext, job: ActiveJob) -> ClaimStatus:
    """Generate and publish; when memory runs out, try once more in low-memory mode.

    The second try belongs to the same attempt: the record counts workers, and this one lives.
    """
    try:
        return _generate_and_publish(context, job)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    # outside the handler, because the error's frames hold memory
    if not context.free_and_probe():
        raise MemoryError
    log.warning("out of memory; trying again in low-memory mode")
    return _generate_and_publish(context, job, in_low_memory=True)


def _generate_and_publish(
    context: ExecutionContext, job: ActiveJob, *, in_low_memory: bool = False
) -> ClaimStatus:
    """Read the request and its inputs, generate its images, stage, publish and finish.

    Raises JobStopped, or whatever made the job fail.
    """

    def on_loading(share: float) -> None:
        job.check()
        job.clock.note_loading()
        context.reporter.report_loading(job, share)

    claim = job.claim
    stored = json.loads(claim.stored_request)
    request = read_stored(claim.kind, stored, claim.inputs)
    if isinstance(request, Upscale):
        return upscale_and_publish(context, job, request)
    log.debug("prompt", prompt=request.prompt, negative_prompt=request.negative_prompt)
    prompt_jobs = prompt_jobs_of(request, stored)
    inputs = read_inputs(request, context.store, claim.job_id)
    requests = [prompt_job.request for prompt_job in prompt_jobs]
    sizes = [final_size(each, inputs) for each in requests for _ in range(each.image_count)]
    # a large image or grid takes as long to store as a large batch to evaluate
    stored_at_once = prod(cell_of(sizes)) * (len(sizes) if has_grid(request, len(sizes)) else 1)
    sampled_at_once = max(each.n_samples * prod(each.generated_size) for each in requests)
    job.clock.expect_batches_of(max(sampled_at_once, stored_at_once))

    stopwatch = Stopwatch()
    with stopwatch.timing("load"):
        engine = context.engine.get()
    parts = job_parts_of(
        [low_memory(each) for each in prompt_jobs] if in_low_memory else prompt_jobs,
        inputs,
        lambda each: UpscaleStep.for_request(each, inputs, engine, job, stopwatch),
        engine,
    )
    context.store.check_room(room_of(request, sizes))
    warnings = JobWarnings(job, context.claims)
    if in_low_memory:
        warnings.add(LOW_MEMORY_WARNING)
    # skip_save is about the single images: the grid goes to `outdir` all the same
    outdir = TRANSIENT if request.skip_save else request.outdir
    with context.store.staging(claim.job_id, outdir, claim.token) as staging:
        generator = ImageGenerator(
            request=request,
            parts=parts,
            job=job,
            engine=engine,
            staging=staging,
            stopwatch=stopwatch,
            reporter=context.reporter,
            previewer=context.previewer,
        )
        for part in generator.order:
            with ExitStack() as loan:
                with stopwatch.timing("load"):
                    borrowed = context.model_cache.borrow(
                        str(part.request.ckpt) if "ckpt" in (request.vary or {}) else claim.model,
                        part.prompt_job.prompt.loras,
                        on_loading,
                        offloaded=engine.offloaded(part.recipe),
                        full=part.recipe.precision == "full",
                        vae=part.request.vae,
                        refiner=part.request.refiner_ckpt,
                    )
                    model, limits = engine.prepare(loan.enter_context(borrowed), part.prompt_job)
                job.check()
                warnings.add(*warnings_of(part.request, device=engine.device), *limits)
                warnings.add(*(part.edit.warnings if part.edit else ()))
                generator.generate(model, part)
        warnings.add(*generator.stage_grid())
        job.check()
        return publish(context, claim, staging, generator.result())
