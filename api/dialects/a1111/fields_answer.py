"""The fields of both kinds that concern the answer, the options and the extensions."""

from typing import Any

from api.dialects.a1111.fields import Field, Flag

_NO_SCRIPTS = "there are no scripts and extensions here"

ANSWER = (
    Field(
        name="send_images",
        type=Flag,
        default=True,
        followed=True,
        means="answer with the pictures",
    ),
    Field(
        name="save_images",
        type=Flag,
        default=False,
        followed=True,
        means="keep the pictures, and answer with a grid of several",
    ),
    Field(
        name="do_not_save_samples",
        type=Flag,
        default=False,
        followed=True,
        means="with `save_images`: keep the grid only",
    ),
    Field(
        name="do_not_save_grid",
        type=Flag,
        default=False,
        followed=True,
        means="with `save_images`: no grid",
    ),
    Field(
        name="force_task_id",
        type=str,
        default="",
        followed=True,
        means="the same id with the same request returns the same pictures; `progress?id_task=`",
    ),
    Field(
        name="override_settings",
        type=dict[str, Any],
        default={},
        followed=True,
        means="options for this request, such as `sd_model_checkpoint`",
    ),
    Field(
        name="override_settings_restore_afterwards",
        type=Flag,
        default=True,
        followed=True,
        means="false: they become options of the API key",
    ),
)
EXTENSIONS = (
    Field(
        name="script_name",
        type=str,
        default="",
        means="a script to run",
        instead=_NO_SCRIPTS,
    ),
    Field(
        name="script_args",
        type=list[Any],
        default=[],
        needs="script_name",
        means="its arguments",
        instead=_NO_SCRIPTS,
    ),
    Field(
        name="alwayson_scripts",
        type=dict[str, Any],
        default={},
        followed=True,
        means="extensions, such as ControlNet",
        instead=_NO_SCRIPTS,
    ),
    Field(
        name="restore_faces",
        type=Flag,
        default=False,
        means="repair faces",
        instead="there is no face restoration here",
    ),
    Field(
        name="refiner_checkpoint",
        type=str,
        default="",
        neutral=("None", "none"),
        means="a second model for the last steps",
        followed=True,
    ),
    Field(
        name="refiner_switch_at",
        type=float,
        default=None,
        neutral=(0.0,),
        needs="refiner_checkpoint",
        means="the share of the noise levels after which it takes over",
        followed=True,
    ),
    Field(
        name="disable_extra_networks",
        type=Flag,
        default=False,
        means="ignore the LoRAs in the prompt",
        instead="leave them out of the prompt",
    ),
    Field(name="comments", type=dict[str, Any], default={}, means="texts for the answer"),
    Field(
        name="infotext",
        type=str,
        default="",
        followed=True,
        means="the parameters of a picture, for fields that are left out",
    ),
)
