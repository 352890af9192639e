"""A job that enlarges one picture, from its input to its published image. It needs no model."""

from PIL import Image

from jobs import __version__
from jobs.pictures.output_formats import encode
from jobs.pictures.store import TRANSIENT
from jobs.records.claim import ClaimStatus
from jobs.status import Result, StoredPicture
from jobs.upscalers import NETWORK
from jobs.validation.request import Upscale
from stable_diffusion.stopwatch import Stopwatch
from stable_diffusion.upscaling.exact_size import to_size
from worker.execution.active_job import ActiveJob
from worker.execution.endings import publish, timings_of
from worker.execution.execution_context import ExecutionContext
from worker.execution.infotext import line_of
from worker.execution.inputs import read_inputs
from worker.execution.job_warnings import JobWarnings, device_warning
from worker.execution.progress_meter import UpscaleMeter
from worker.execution.room import room_for
from worker.execution.upscale_step import PHASE, resampled


def upscale_and_publish(context: ExecutionContext, job: ActiveJob, request: Upscale) -> ClaimStatus:
    """Read the picture, enlarge it, stage, publish and finish.

    Raises JobStopped, or whatever made the job fail.
    """
    stopwatch = Stopwatch()
    with stopwatch.timing("load"):
        engine = context.engine.get()
        network = engine.upscaler() if request.upscaler == NETWORK else None
    image = read_inputs(request, context.store, job.claim.job_id)["init"]
    size = request.size_from(*image.size)
    job.clock.expect_batches_of(size[0] * size[1])
    context.store.check_room(room_for(size[0] * size[1], 1, request.format))
    if warning := device_warning(request.device, engine.device):
        JobWarnings(job, context.claims).add(warning)
    meter = UpscaleMeter()

    def report(share: float) -> None:
        job.check()
        job.clock.note_share(share)
        context.reporter.report(job, meter.read(share))

    def double(window: Image.Image, start: float, end: float) -> Image.Image:
        assert network
        return engine.double(network, window, lambda share: report(start + share * (end - start)))

    report(0)
    with stopwatch.timing(PHASE):
        if network:
            large = to_size(image, *size, double)
        else:
            large = resampled(image, size, request.upscaler)
    job.check()
    name = network.name if network else request.upscaler.capitalize()
    outdir = TRANSIENT if request.skip_save else request.outdir
    with context.store.staging(job.claim.job_id, outdir, job.claim.token) as staging:
        with stopwatch.timing("save"):
            text = _text(request, name)
            data = encode(large, request.format, text, request.jpeg_quality)
            stored = staging.put(0, data, request.format)
        job.check()
        result = Result(
            images=(StoredPicture(name=stored, width=size[0], height=size[1], index=0),),
            saved=not request.skip_save,
            format=request.format,
            upscaler=name,
            timings=timings_of(job.claim, stopwatch),
        )
        return publish(context, job.claim, staging, result)


def _text(request: Upscale, upscaler: str) -> str:
    """The infotext, with the keys of AUTOMATIC1111's "Extras" tab."""
    done = (
        {"Postprocess upscale to": "{}x{}".format(*request.output_size)}
        if request.output_size
        else {"Postprocess upscale by": request.factor}
    )
    version = f"stable-diffusion-service {__version__}"
    return line_of({**done, "Postprocess upscaler": upscaler, "Version": version})
