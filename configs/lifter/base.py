# vid3d-base: the lifter, sized for one CPU core (docs/training.md says what a GPU should change).
task = "lifter"
name = "vid3d-base"
encoder = dict(joint_width=40, spatial_blocks=2, width=192, blocks=5, heads=6, ratio=2)
diffusion = dict(width=96, blocks=2, heads=4, ratio=2)
# Wider than what is measured on: real cameras hang high and far, real detectors are worse.
batches = dict(
    seconds=2.56,
    grid=0.08,
    recombined=0.25,
    camera=dict(height=(0.2, 4.5), distance=(1.6, 14.0)),
    body=dict(trunk=0.07),
    noise=dict(limb=0.08, spread=0.65, outlier=0.02, swap=0.02),
)
seed = 0
precision = "bfloat16"
compiled = False  # True: blocks go through torch.compile, which needs a C++ compiler
stage = dict(
    name="main",
    samples=720_000,
    batch=64,
    lr=2e-3,
    warm_up=0.02,
    decay=0.5,
    weight_decay=0.03,
    clip=1.0,
    ema=0.999,
    dev_every=32_000,
)
dev_windows = 256
data = dict(
    files=["train_cmu", "train_cmu2", "train_hdm05", "train_biomechzoo", "train_fair1"],
    skipped=[],  # ["train_hdm05"] gives weights without share-alike (CC BY-SA 3.0) data
)
