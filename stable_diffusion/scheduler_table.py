"""The table of schedulers: which noise levels a sampler visits. Free of torch, as `sampler_table`.

Their formulas are in `samplers/schedulers.py`; a test compares each with its source.
"""

from dataclasses import dataclass

AUTOMATIC = "automatic"


@dataclass(frozen=True)
class SchedulerRow:
    """What a scheduler is called.

    Attributes:
        key: its canonical name in requests.
        label: its name for people, as AUTOMATIC1111 spells it if it has it.
        aliases: further keys.
        to_zero: whether its last level is 0; else it is the model's smallest, and a sampler with
            two evaluations a step has both in the last step as well.
    """

    key: str
    label: str
    aliases: tuple[str, ...] = ()
    to_zero: bool = True


SCHEDULERS: tuple[SchedulerRow, ...] = (
    SchedulerRow(AUTOMATIC, "Automatic"),
    SchedulerRow("karras", "Karras"),
    SchedulerRow("exponential", "Exponential"),
    SchedulerRow("polyexponential", "Polyexponential"),
    SchedulerRow("sgm_uniform", "SGM Uniform", ("SGMUniform",)),
    SchedulerRow("trailing", "Trailing"),
    SchedulerRow("kl_optimal", "KL Optimal", to_zero=False),
    SchedulerRow("align_your_steps", "Align Your Steps"),
    SchedulerRow("simple", "Simple"),
    SchedulerRow("normal", "Normal", ("uniform",)),
    SchedulerRow("ddim_uniform", "DDIM", ("DDIM Uniform",)),
    SchedulerRow("beta", "Beta"),
)
"""In the order in which they are listed to people."""

_BY_NAME = {name.lower(): row for row in SCHEDULERS for name in (row.key, row.label, *row.aliases)}


def scheduler_named(name: str) -> SchedulerRow | None:
    """The scheduler of a key, an alias or a label, in any case; None if there is none."""
    return _BY_NAME.get(" ".join(name.split()).lower())
