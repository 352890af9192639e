"""A1111's lists of what is installed: models, autoencoders, LoRAs, embeddings, samplers, …"""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.caller import caller_of
from api.dialect import Services
from api.dialects.a1111.checkpoints import title_of, usable_models
from api.dialects.a1111.extras_resize import RESAMPLINGS
from api.dialects.a1111.fields_extras import NO_UPSCALER
from api.dialects.a1111.generation import INSTALLED_UPSCALER
from api.dialects.a1111.hires import LATENT_MODES
from api.dialects.a1111.list_models import (
    Checkpoint,
    Checkpoints,
    Embedding,
    Embeddings,
    LatentUpscaleMode,
    LatentUpscaleModes,
    Lora,
    Loras,
    Sampler,
    Samplers,
    Scheduler,
    Schedulers,
    Upscaler,
    Upscalers,
    Vae,
    Vaes,
)
from api.dialects.a1111.operation_parts import Warnings, described
from api.dialects.a1111.sampler_names import AUTOMATIC, SCHEDULERS
from api.recipes.automatic_schedulers import AUTOMATIC_SCHEDULERS
from jobs.names import SAMPLERS

REFRESHED = ("refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings")


def list_routes(services: Services) -> Blueprint:
    """The routes that list what workers serve now; while none is alive, what the last one did."""
    routes = Blueprint("lists", __name__)
    jobs = services.jobs

    @routes.get("/sd-models")
    @described(Checkpoints, description="the models")
    def checkpoints() -> ResponseReturnValue:
        """The models that can be used, by name."""
        caller_of(services, request)
        served = jobs.served()
        return Checkpoints(
            [
                Checkpoint(
                    title=title_of(name, served),
                    model_name=name,
                    hash=served.hashes.get(name) or None,
                    filename=name,
                )
                for name in usable_models(served)
            ]
        ).model_dump()

    def vaes() -> ResponseReturnValue:
        """The autoencoders that `sd_vae` may name."""
        caller_of(services, request)
        return Vaes(
            [Vae(model_name=name, filename=name) for name in jobs.served().vaes]
        ).model_dump()

    vaes = described(Vaes, description="the autoencoders")(vaes)
    routes.get("/sd-vae", endpoint="sd_vae")(vaes)
    routes.get("/sd-modules", endpoint="sd_modules")(vaes)

    @routes.get("/loras")
    @described(Loras, description="the LoRAs")
    def loras() -> ResponseReturnValue:
        """The LoRAs that prompts may name as `<lora:NAME:WEIGHT>`."""
        caller_of(services, request)
        return Loras(
            [Lora(name=name, alias=name, path=name) for name in jobs.served().loras]
        ).model_dump()

    @routes.get("/embeddings")
    @described(Embeddings, description="the textual inversions")
    def embeddings() -> ResponseReturnValue:
        """The textual inversions that prompts may name."""
        caller_of(services, request)
        served = jobs.served()
        names = (*served.embeddings, *served.bundled_embeddings)
        return Embeddings(loaded={name: Embedding() for name in names}).model_dump()

    @routes.get("/samplers")
    @described(Samplers, description="the samplers")
    def samplers() -> ResponseReturnValue:
        """The samplers, and the labels of older versions that include a scheduler."""
        caller_of(services, request)
        return Samplers(
            [
                Sampler(
                    name=row.label, aliases=[row.key, *row.aliases], options=_options(row.label)
                )
                for row in SAMPLERS
            ]
        ).model_dump()

    @routes.get("/schedulers")
    @described(Schedulers, description="the schedulers")
    def schedulers() -> ResponseReturnValue:
        """The schedulers that a sampler may be combined with."""
        caller_of(services, request)
        return Schedulers(
            [
                Scheduler(name=row.name, label=row.label, aliases=list(row.aliases) or None)
                for row in SCHEDULERS
            ]
        ).model_dump()

    @routes.get("/upscalers")
    @described(Upscalers, description="the upscalers")
    def upscalers() -> ResponseReturnValue:
        """The upscalers that `upscaler_1` of the extras may name."""
        caller_of(services, request)
        names = (NO_UPSCALER, *RESAMPLINGS, INSTALLED_UPSCALER)
        return Upscalers([Upscaler(name=name) for name in names]).model_dump()

    @routes.get("/latent-upscale-modes")
    @described(LatentUpscaleModes, description="the upscalers of latents")
    def latent_upscale_modes() -> ResponseReturnValue:
        """The further upscalers that `hr_upscaler` of hires fix may name."""
        caller_of(services, request)
        return LatentUpscaleModes(
            [LatentUpscaleMode(name=name) for name in LATENT_MODES]
        ).model_dump()

    @described(Warnings, description="nothing is left to do")
    def refresh() -> ResponseReturnValue:
        """Nothing needs to be done: the workers look into their folders all the time."""
        caller_of(services, request)
        return Warnings().model_dump()

    for name in REFRESHED:
        routes.post(f"/{name}", endpoint=name.replace("-", "_"))(refresh)
    return routes


def _options(label: str) -> dict[str, str]:
    scheduler = AUTOMATIC_SCHEDULERS.get(label, AUTOMATIC)
    return {} if scheduler == AUTOMATIC else {"scheduler": scheduler}
