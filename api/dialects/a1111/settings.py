"""The options under which one request runs: those of its key, changed by `override_settings`."""

from dataclasses import dataclass, replace
from typing import Any

from api.auth import Caller
from api.dialect import Services
from api.dialects.a1111.caller_options import NO_VAE, CallerOptions, caller_options, with_settings
from api.dialects.a1111.checkpoints import checkpoint_named
from api.dialects.a1111.fields import Values
from jobs.errors import InvalidRequest
from jobs.limits import NATIVE_SIZE, Limits
from jobs.served import Served
from jobs.validation.settled_defaults import InstalledDefaults

_PREFIX = "override_settings."
_CHECKPOINT = "sd_model_checkpoint"


@dataclass(frozen=True)
class RequestSettings:
    """The options of one request, resolved against what is installed.

    Attributes:
        model: the name of the model.
        native_size: its own, in pixels.
        preset: that of the request, or of the key; empty: none, or the model has no such preset.
        warnings: of settings that change nothing.
        defaults: what the installed models want.
    """

    options: CallerOptions
    model: str
    native_size: int
    preset: str
    warnings: tuple[str, ...]
    defaults: InstalledDefaults

    def body(self) -> dict[str, Any]:
        """The native fields of these options."""
        body: dict[str, Any] = {
            "ckpt": self.model,
            "clip_skip": self.options.CLIP_stop_at_last_layers,
            **self.options.format_fields,
        }
        if self.options.sd_vae.lower() == "none":
            body["vae"] = None  # the model's own, also where its defaults name another
        elif self.options.sd_vae.lower() not in NO_VAE:
            body["vae"] = self.options.sd_vae
        if self.preset:
            body["preset"] = self.preset
        return body

    def with_size(self, values: Values, limits: Limits) -> Values:
        """The values of a request that has the size its model wants where the client sent none."""
        own = self.defaults.wanted(self.model, self.preset)
        sizes = limits.filled_sizes(own, {}, self.native_size)
        sides = {"width": sizes.get("W"), "height": sizes.get("H")}
        wanted = {name: side for name, side in sides.items() if side and name not in values.sent}
        return replace(values, of={**values.of, **wanted})


def request_settings(services: Services, caller: Caller, values: Values) -> RequestSettings:
    """The settings of a request; with `override_settings_restore_afterwards` false they are kept.

    A checkpoint that is not installed is no error in AUTOMATIC1111 either: the key's own is used,
    and a warning says so.

    Raises:
        InvalidRequest: another setting is out of bounds.
    """
    served = services.jobs.served()
    overrides = dict(values["override_settings"])
    before = caller_options(services, caller)
    warnings: list[str] = []
    wanted = overrides.get(_CHECKPOINT)
    if isinstance(wanted, str) and not _installed(wanted, services, served):
        del overrides[_CHECKPOINT]
        warnings.append(f"{_PREFIX}{_CHECKPOINT}: {wanted[:80]!r} is not installed")
    options, inert = with_settings(before, overrides, services, served, prefix=_PREFIX)
    if not values["override_settings_restore_afterwards"]:
        changed = options.model_dump()
        kept = {name: changed[name] for name in overrides if name in changed}
        if kept:
            services.jobs.set_options(kept, of=caller.submitter)
    chosen = options.sd_model_checkpoint
    if not _installed(chosen, services, served):  # removed since the key's options named it
        warnings.append(f"{_CHECKPOINT}: {chosen[:80]!r} is not installed any more")
        chosen = ""
    model = checkpoint_named(chosen, services.jobs, served, field=_CHECKPOINT)
    native_size = served.native_sizes.get(model, NATIVE_SIZE)
    defaults = InstalledDefaults.of(served)
    preset = values["preset"] or options.preset
    if preset and preset not in defaults.presets(model):
        warnings.append(f"preset: the model {model} has no preset {preset!r}")
        preset = ""
    return RequestSettings(options, model, native_size, preset, (*warnings, *inert), defaults)


def _installed(spelling: str, services: Services, served: Served) -> bool:
    try:
        checkpoint_named(spelling, services.jobs, served, field=_CHECKPOINT)
    except InvalidRequest:
        return False
    return True
