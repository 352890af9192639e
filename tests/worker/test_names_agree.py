from jobs.names import JOB_TYPES, SAMPLERS
from stable_diffusion.recipe import MemoryPlan
from stable_diffusion.samplers import SAMPLERS as ENGINE_SAMPLERS
from stable_diffusion.samplers import resolve


def test_jobs_and_the_engine_name_the_same_samplers() -> None:
    ours = {sampler.key: (sampler.label, set(sampler.aliases)) for sampler in SAMPLERS}
    engines = {
        key: (sampler.label, set(sampler.aliases)) for key, sampler in ENGINE_SAMPLERS.items()
    }
    assert ours == engines


def test_every_spelling_means_the_same_sampler_on_both_sides() -> None:
    for sampler in SAMPLERS:
        for spelling in (sampler.key, sampler.label.upper(), *sampler.aliases):
            assert resolve(spelling).key == sampler.key


def test_job_types_are_the_engines_memory_plans() -> None:
    assert set(JOB_TYPES) == set(MemoryPlan.__args__)
