# D3DP (Shan et al. 2023) at its published size: poses denoised beside their 2D by MixSTE, 20
# hypotheses, 10 steps, joint by joint the one that reprojects best (J-Agg). `diffusion.flip=true`
# asks for the mirror image in every step; `lifting.aggregate=mean` is P-Agg.
_base_ = "../base.py"
name = "d3dp"
encoder = dict(_delete_=True, kind="looks", width=128)
diffusion = dict(_delete_=True, kind="mixste", width=512, blocks=8, heads=8, ratio=2)
batches = dict(seconds=4.84, grid=0.02, short=0.0, irregular=0.0, blind=0.0)  # 243 frames at 50 Hz
lifting = dict(hypotheses=20, steps=10, aggregate="jpma", constant_bones=False)
stage = dict(samples=5_120_000, batch=4, lr=6e-5, optimizer="adamw", weight_decay=0.1)
