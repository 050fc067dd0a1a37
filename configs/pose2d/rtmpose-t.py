"""RTMPose-t (CSPNeXt, SimCC, COCO-17, 256x192) distilled from scratch: the recipe for a GPU."""

_base_ = "./vid3d-pose.py"
name = "rtmpose-t"

simcc = dict(
    type="SimCCLabel",
    input_size=(192, 256),
    sigma=(4.9, 5.66),
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False,
)

model = dict(
    backbone=dict(out_indices=(4,)),
    neck=None,
    head=dict(
        _delete_=True,
        type="RTMCCHead",
        in_channels=384,
        out_channels=17,
        input_size=(192, 256),
        in_featuremap_size=(6, 8),
        simcc_split_ratio=2.0,
        final_layer_kernel_size=7,
        gau_cfg=dict(
            hidden_dims=256,
            s=128,
            expansion_factor=2,
            dropout_rate=0.0,
            drop_path=0.0,
            act_fn="SiLU",
            use_rel_bias=False,
            pos_enc=False,
        ),
        loss=dict(type="KLDiscretLoss", use_target_weight=True, beta=10.0, label_softmax=True),
        decoder=simcc,
    ),
)

test_pipeline = [
    dict(type="LoadImage"),
    dict(type="GetBBoxCenterScale"),
    dict(type="TopdownAffine", input_size=(192, 256)),
    dict(type="PackPoseInputs"),
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

training = dict(
    workers=14,
    augmentation=dict(
        scale=(0.7, 1.35),
        shift=0.06,
        rotation=40.0,
        rotate=0.6,
        turned=0.08,
        half_body=0.3,
        cutout=0.4,
        blur=0.2,
        noise=0.2,
    ),
    stages=[
        dict(name="half", size=(96, 128), samples=4_000_000, batch=256, lr=2e-3, widen=4.0),
        dict(name="full", size=(192, 256), samples=4_000_000, batch=256, lr=2e-3),
    ],
)
