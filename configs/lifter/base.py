# vid3d-base: the encoder, sized for one CPU core (docs/training.md says what a GPU should change).
encoder = dict(joint_width=40, spatial_blocks=2, width=192, blocks=5, heads=6, ratio=2)
batches = dict(seconds=2.56, grid=0.08)
schedule = dict(steps=5200, batch=32, lr=1.2e-3, warmup=150, dev_every=250)
data = dict(
    files=["train_cmu", "train_cmu2", "train_hdm05", "train_biomechzoo", "train_fair1"],
    # HDM05 is CC BY-SA 3.0: name it here for weights without share-alike data. Then also
    # give dev_actors=("cmu_s35", "cmu_s86").
    skipped=[],
)
