# The deterministic backbone of diffhpe_wrapper: MixSTE with 64 channels over 27 frames at 50 Hz.
_base_ = "../baselines/mixste.py"
name = "diffhpe-backbone"
encoder = dict(width=64, blocks=8, heads=8)
batches = dict(seconds=0.52, grid=0.02, short=0.0, irregular=0.0, blind=0.0)
lifting = dict(hypotheses=1, constant_bones=False)
