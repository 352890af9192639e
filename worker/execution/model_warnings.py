"""What of a request its model does not take, in words."""

from collections.abc import Iterator

from jobs.names import sampler_named
from jobs.validation.hires_rules import second_pass_steps
from jobs.validation.request import ImageToImage, Request, TextToImage
from stable_diffusion.bounds import executed_steps
from stable_diffusion.guided_network import first_refined
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers import resolve
from stable_diffusion.samplers.sampling import step_timesteps
from worker.execution.prompt_jobs import PromptJob

_OF_GUIDANCE = ("negative_prompt", "hires_negative_prompt", "guidance_rescale")
_OF_INTERVAL = ("guidance_start", "guidance_end")


def model_warnings(model: Model, prompt_job: PromptJob) -> tuple[str, ...]:
    """A sentence for each parameter that the model does not take, or takes otherwise."""
    request = prompt_job.request
    found = (_clip_skip(model, request), _image_scale(model, request))
    told = (*_guidance(model, prompt_job), *_refiner(model, prompt_job))
    return (*(warning for warning in found if warning), *told)


def _clip_skip(model: Model, request: Request) -> str:
    wanted, used = request.clip_skip, model.family.clip_skip(request.clip_skip)
    if used == wanted:
        return ""
    return f"clip_skip: {wanted} was asked for; the text encoder of {model.name} has {used}"


def _image_scale(model: Model, request: Request) -> str:
    default = Recipe.image_scale
    asked = isinstance(request, ImageToImage) and request.image_scale != default
    if not asked or model.family.unet_inputs.image_guided:
        return ""
    return f"image_scale: {model.name} does not change pictures by an instruction; no effect"


def _guidance(model: Model, prompt_job: PromptJob) -> Iterator[str]:
    """Of a model that takes the guidance scale itself, what acts on two predictions."""
    request = prompt_job.request
    sampler = sampler_named(request.sampler)
    if not model.family.guidance_width or (sampler and sampler.key == "ddim_cfgpp"):
        return
    weights = [one.weight for one in prompt_job.prompt.composed]
    # prompts that are composed are weighed against the negative prompt
    names = _OF_INTERVAL if weights and sum(weights) != 1 else (*_OF_GUIDANCE, *_OF_INTERVAL)
    fields = type(request).model_fields
    for name in names:
        if name in fields and getattr(request, name) != fields[name].default:
            yield (
                f"{name}: {model.name} was distilled with guidance and takes scale as an input; "
                "it had no effect"
            )


def _refiner(model: Model, prompt_job: PromptJob) -> Iterator[str]:
    """Of a second model: what acts on the first one only, and whether it has a part at all."""
    request, refiner = prompt_job.request, model.refiner
    share = request.refiner_switch_at
    if refiner is None or share is None:
        return
    if prompt_job.prompt.loras and refiner.family is not model.family:
        yield f"refiner: the LoRAs of the prompt change {model.name}, and not {refiner.name}"
    sampler, scheduler, steps = request.sampler, request.scheduler, request.ddim_steps
    executed = steps
    if isinstance(request, ImageToImage):
        executed = executed_steps(steps, request.denoising_strength)
    elif isinstance(request, TextToImage) and request.has_second_pass:
        sampler = request.hires_sampler or sampler
        scheduler = request.hires_scheduler or scheduler
        steps = request.hires_steps or steps
        executed = second_pass_steps(request)
    visited = step_timesteps(resolve(sampler, scheduler), model.schedule, steps, executed)
    if visited[-1] >= first_refined(model, share):
        yield (
            f"refiner: no step begins after {share:g} of the noise levels; it had no effect with "
            f"{steps} steps of this sampler"
        )
