"""What an infotext says about the sampler and its scheduler."""

from api.recipes.automatic_schedulers import AUTOMATIC_SCHEDULERS
from api.recipes.draft import Draft
from jobs.names import SCHEDULERS, sampler_named


def put_sampler(draft: Draft, settings: dict[str, str], *, ours: bool) -> None:
    """Set the sampler and the scheduler of an infotext."""
    if "Sampler" not in settings:
        return
    label, scheduler = split_sampler(settings["Sampler"])
    scheduler = scheduler or settings.get("Schedule type", "")
    # without a schedule type A1111 was older than 1.9, whose labels named the scheduler
    if scheduler.lower() == "automatic" and not ours:
        scheduler = AUTOMATIC_SCHEDULERS.get(label, "")
    draft.put_sampling(label, scheduler, ("Sampler", "Schedule type"))


def split_sampler(label: str) -> tuple[str, str]:
    """A sampler's name without the scheduler at its end (`DPM++ 2M Karras`), and that scheduler."""
    if sampler_named(label) is None or label.lower().endswith(" karras"):
        for row in SCHEDULERS:
            for spelling in (row.label, row.key, *row.aliases):
                if label.lower().endswith(f" {spelling.lower()}"):
                    return label[: -len(spelling) - 1], row.key
    return label, ""
