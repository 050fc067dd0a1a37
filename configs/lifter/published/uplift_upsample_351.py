# Uplift and Upsample (Einfalt et al. 2023) over 351 frames at 50 Hz: 71 moments every 0.1 s, looks
# at every 5th, 10th or 20th frame. Train uplift_upsample_351_pretrain first, then this one with
# --init-from.
_base_ = "../base.py"
name = "uplift-upsample-351"
encoder = dict(_delete_=True, kind="uplift_upsample", moments=71, joint_width=32, spatial_blocks=4,
               width=384, blocks=4, strides=(3, 10, 3), paddings=(0, 0, 0), heads=8, ratio=2,
               drop_path=0.1)  # fmt: skip
diffusion = None
velocity = 0.0  # the paper's loss: positions of all moments and of the middle one
batches = dict(
    seconds=7.0,
    grid=0.1,
    strides=(5, 10, 20),
    aligned=True,
    twins=True,
    short=0.0,
    irregular=0.0,
    blind=0.0,
)
lifting = dict(windows="centred", hypotheses=1, constant_bones=False)
stage = dict(samples=368_640_000, batch=512, lr=4e-5, optimizer="adamw", weight_decay=0.1)
