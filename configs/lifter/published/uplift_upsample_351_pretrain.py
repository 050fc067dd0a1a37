# Pre-training of uplift_upsample_351: perfect projections of motion capture (section 3.3).
_base_ = "uplift_upsample_351.py"
name = "uplift-upsample-351-pretrained"
batches = dict(
    focal=0.0,
    noise=dict(drift=0.0, jitter=0.0, outlier=0.0, swap=0.0, missing=0.0, limb=0.0, spread=0.0,
               look=0.0),
)  # fmt: skip
