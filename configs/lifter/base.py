# vid3d-base: the lifter, sized for one CPU core (docs/training.md says what a GPU should change).
task = "lifter"
name = "vid3d-base"
encoder = dict(joint_width=40, spatial_blocks=2, width=192, blocks=5, heads=6, ratio=2)
diffusion = dict(width=128, blocks=3, heads=4, ratio=2)
batches = dict(seconds=2.56, grid=0.08, noise=dict(limb=0.08))
seed = 0
stage = dict(
    name="main",
    samples=136_000,
    batch=32,
    lr=1.2e-3,
    warm_up=0.035,
    decay=0.35,
    optimizer="adamw",
    weight_decay=0.03,
    clip=1.0,
    dev_every=8_000,
)
dev_windows = 256
data = dict(
    files=["train_cmu", "train_cmu2", "train_hdm05", "train_biomechzoo", "train_fair1"],
    skipped=[],  # ["train_hdm05"] gives weights without share-alike (CC BY-SA 3.0) data
)
