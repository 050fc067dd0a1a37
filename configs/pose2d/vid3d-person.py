"""vid3d-person: a one-class RTMDet, distilled on a CPU.

The neck and the depthwise heads are RTMDet-nano's; the backbone is RTMDet-tiny's, because that is
also RTMPose-t's and can start from the trained pose network. Trained on smaller images than it is
run on (416x416), which a CPU can afford and which costs little up to a factor of 1.4.
"""

name = "vid3d-person"
task = "detect2d"
licence = (
    "weights Apache-2.0 as far as they are ours; "
    "trained on photographs without a clear licence, see README.md"
)
default_scope = "mmdet"

model = dict(
    type="RTMDet",
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[103.53, 116.28, 123.675],
        std=[57.375, 57.12, 58.395],
        bgr_to_rgb=False,
        batch_augments=None,
    ),
    backbone=dict(
        type="CSPNeXt",
        arch="P5",
        expand_ratio=0.5,
        deepen_factor=0.167,
        widen_factor=0.375,
        channel_attention=True,
        norm_cfg=dict(type="BN"),
        act_cfg=dict(type="SiLU"),
    ),
    neck=dict(
        type="CSPNeXtPAFPN",
        in_channels=[96, 192, 384],
        out_channels=64,
        num_csp_blocks=1,
        expand_ratio=0.5,
        use_depthwise=True,
        norm_cfg=dict(type="BN"),
        act_cfg=dict(type="SiLU"),
    ),
    bbox_head=dict(
        type="RTMDetSepBNHead",
        num_classes=1,
        in_channels=64,
        stacked_convs=2,
        feat_channels=64,
        anchor_generator=dict(type="MlvlPointGenerator", offset=0, strides=[8, 16, 32]),
        bbox_coder=dict(type="DistancePointBBoxCoder"),
        loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
        with_objectness=False,
        exp_on_reg=False,
        share_conv=False,
        use_depthwise=True,
        pred_kernel_size=1,
        norm_cfg=dict(type="BN"),
        act_cfg=dict(type="SiLU"),
    ),
    train_cfg=dict(
        assigner=dict(type="DynamicSoftLabelAssigner", topk=13),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type="nms", iou_threshold=0.6),
        max_per_img=100,
    ),
)

test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(416, 416), keep_ratio=True),
    dict(type="Pad", size_divisor=32, pad_val=dict(img=(114, 114, 114))),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
test_dataloader = dict(
    dataset=dict(type="CocoDataset", metainfo=dict(classes=("person",)), pipeline=test_pipeline)
)

training = dict(
    seed=0,
    workers=0,
    thresholds=dict(score=0.28, iou=0.4),
    backbone="vid3d-pose",  # a model whose backbone to begin with, by name or path
    exchange_backbone=False,  # begin with that backbone in place of the one of --init-from
    teacher="",  # an RTMDet to learn from beside the labels, as --detector takes it
    tiling=dict(shares=(0.7, 0.25, 0.05), zoom=(0.75, 1.7)),
    stages=[
        dict(name="small", size=(160, 160), samples=50_000, batch=16, lr=1.2e-3, frozen=1),
        dict(name="middle", size=(224, 224), samples=90_000, batch=24, lr=1.2e-3, frozen=1),
        dict(
            name="wide", size=(288, 288), samples=70_000, batch=16, lr=1.2e-3, decay=0.6, frozen=1
        ),
    ],
)
