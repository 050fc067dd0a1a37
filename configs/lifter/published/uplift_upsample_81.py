# Uplift and Upsample (Einfalt et al. 2023) over 81 frames at 50 Hz: 41 moments every 0.04 s, looks
# at every 4th, 10th or 20th frame.
_base_ = "uplift_upsample_351.py"
name = "uplift-upsample-81"
encoder = dict(moments=41, strides=(4, 4, 3), paddings=(1, 0, 0))
batches = dict(seconds=1.6, grid=0.04, strides=(4, 10, 20))
stage = dict(samples=184_320_000, batch=256)
