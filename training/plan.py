"""The stages of the tiny models' training, and their shares of the time."""

from dataclasses import replace

from training.consistency import Distillation, PathShare
from training.denoiser import Stage

SEED = 12
# Shares of a model's time. One main size in each stage: with three sizes at once shapes stay blobs.
AUTOENCODER_SHARE = 0.06
TEXT_SHARE = 0.02
STAGES = (
    Stage("128 px", 0.05, 1.2e-3, {(128, 128): (1.0, 32)}),
    Stage(
        "256 px",
        0.5,
        1e-3,
        {
            (256, 256): (0.85, 12),
            (128, 128): (0.06, 32),
            (384, 256): (0.045, 8),
            (256, 384): (0.045, 8),
        },
        simple_share=0.6,
    ),
    Stage(
        "512 px",
        0.37,
        7e-4,
        {
            (512, 512): (0.7, 4),
            (256, 256): (0.22, 12),
            (384, 256): (0.04, 8),
            (256, 384): (0.04, 8),
        },
        simple_share=0.3,
    ),
)
# For a model that already knows the icons: pairs, positions, large pictures.
STAGES_CONTINUED = (
    replace(STAGES[1], share=0.45, learning_rate=6e-4, simple_share=0.15),
    replace(STAGES[2], share=0.55, learning_rate=5e-4, simple_share=0.15),
)
# tiny-v2 has tiny's autoencoder, starts from its UNet and from a distilled text encoder, and tiny
# is the teacher of its UNet.
STAGES_V2 = (
    replace(STAGES[1], share=0.29, learning_rate=8e-4, simple_share=0.25),
    replace(STAGES[2], share=0.34),
    Stage(
        "256 and 512 px",
        0.28,
        4e-4,
        {(256, 256): (0.6, 12), (512, 512): (0.4, 4)},
        simple_share=0.2,
    ),
)
TEXT_SHARE_V2 = 0.09
# tiny-inpaint has tiny's autoencoder, and starts from its UNet and its text encoder.
STAGES_INPAINT = (
    Stage("masked 256 px", 0.8, 6e-4, {(256, 256): (1.0, 12)}, simple_share=0.1),
    Stage(
        "masked 256 and 512 px",
        0.2,
        4e-4,
        {(256, 256): (0.7, 12), (512, 512): (0.3, 4)},
        simple_share=0.1,
    ),
)
FAST_SHARE, V2_SHARE, INPAINT_SHARE, XL_SHARE = 0.03, 0.18, 0.08, 0.06  # of the time for all models
# tiny-fast is a LoRA for tiny, and tiny is its teacher.
DISTILLATION = Distillation(
    3e-3,
    {
        (256, 256): PathShare(0.8, 8, 480, seed=31),
        (512, 512): PathShare(0.12, 2, 48, seed=33),
        (128, 128): PathShare(0.08, 16, 96, seed=32),
    },
)
# tiny-xl has tiny's autoencoder, starts from its UNet and from the weights of its text encoder, and
# tiny is its teacher.
STAGES_XL = (
    Stage(
        "256, 128 and 512 px",
        0.7,
        2e-5,
        {(256, 256): (0.8, 12), (128, 128): (0.1, 32), (512, 512): (0.1, 4)},
        simple_share=0.1,
    ),
)
TEXT_SHARE_XL = 0.3
# Picture size → number of scenes, and their seed.
SCENES = {
    (128, 128): (4000, 11),
    (256, 256): (12000, 12),
    (384, 256): (600, 13),
    (512, 512): (3200, 14),
    (256, 384): (600, 15),
}
SCENES_MASKED = {(256, 256): (4000, 22), (512, 512): (300, 24)}
