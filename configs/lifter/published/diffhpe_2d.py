# DiffHPE-2D (Rommel et al. 2023): the noise in poses predicted by graph convolutions beside their
# 2D, 50 ancestral steps, mean of 5 hypotheses. diffusion.eta=0 with fewer lifting.steps is DDIM.
_base_ = "../base.py"
name = "diffhpe-2d"
encoder = dict(_delete_=True, kind="looks", width=128)
diffusion = dict(_delete_=True, kind="gcn", width=64, blocks=16, frames=27, dropout=0.03)
batches = dict(
    seconds=0.52,  # 27 frames at 50 Hz
    grid=0.02,
    short=0.0,
    irregular=0.0,
    blind=0.0,
)  # occlusions=("none", "random", "leg-arm", "leg", "frames") to train with what may be hidden
lifting = dict(windows="whole", hypotheses=5, steps=50, aggregate="mean", constant_bones=False)
stage = dict(samples=58_000_000, batch=200, lr=8e-4, optimizer="adamw", weight_decay=1e-6)
