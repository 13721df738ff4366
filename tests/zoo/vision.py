"""Shrunken vision encoders of transformers: settings only, images of 3x32x32 unless said."""

from tests.zoo.entry import Entry, Shrunken, entry, floats

_PLAIN = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
}
_TINY_SWIN = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}
_STAGES = {"hidden_sizes": [16, 32], "depths": [1, 2]}

_SETTINGS: dict[str, dict] = {
    "vit": _PLAIN,
    "deit": _PLAIN,
    "beit": _PLAIN | {"use_relative_position_bias": True, "layer_scale_init_value": 0.1},
    "data2vec-vision": _PLAIN | {"use_shared_relative_position_bias": True},
    "dinov2": _PLAIN,
    "dinov2_with_registers": _PLAIN,
    "ijepa": _PLAIN,
    "vit_msn": _PLAIN,
    "yolos": _PLAIN | {"image_size": [32, 32], "num_detection_tokens": 4},
    "clip_vision_model": _PLAIN | {"projection_dim": 16},
    "siglip_vision_model": _PLAIN,
    "aimv2_vision_model": _PLAIN,
    "sam_vision_model": _PLAIN
    | {"output_channels": 16, "num_pos_feats": 8, "window_size": 2, "global_attn_indexes": [1]},
    "dpt": _PLAIN | {"backbone_out_indices": [0, 1, 1, 1]},
    "swin": _TINY_SWIN,
    "swinv2": _TINY_SWIN,
    "donut-swin": _TINY_SWIN,
    "maskformer-swin": _TINY_SWIN,
    "swin2sr": _TINY_SWIN | {"image_size": 16, "patch_size": 1, "upscale": 2},
    "convnext": _STAGES | {"num_stages": 2},
    "convnextv2": _STAGES | {"num_stages": 2},
    "resnet": _STAGES | {"embedding_size": 16},
    "regnet": _STAGES | {"embedding_size": 16, "groups_width": 8},
    "bit": {"embedding_size": 32, "hidden_sizes": [32, 64], "depths": [1, 1], "num_groups": 4},
    "mobilenet_v1": {"depth_multiplier": 0.25, "min_depth": 4},
    "mobilenet_v2": {"depth_multiplier": 0.25, "min_depth": 4},
    "mobilevit": {
        "image_size": 64,
        "hidden_sizes": [16, 24, 32],
        "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 32],
    },
    "mobilevitv2": {"image_size": 64, "width_multiplier": 0.25},
    "efficientnet": {"width_coefficient": 0.25, "depth_coefficient": 0.3, "hidden_dim": 320},
    "poolformer": {
        "hidden_sizes": [16, 32],
        "depths": [1, 1],
        "patch_sizes": [7, 3],
        "strides": [4, 2],
        "padding": [2, 1],
        "num_encoder_blocks": 2,
    },
    "focalnet": {
        "image_size": 32,
        "embed_dim": 16,
        "depths": [1, 1],
        "hidden_sizes": [16, 32],
        "focal_levels": [2, 2],
        "focal_windows": [3, 3],
    },
    "pvt": {
        "image_size": 64,
        "hidden_sizes": [8, 16, 24, 32],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 2, 3, 4],
        "mlp_ratios": [2, 2, 2, 2],
    },
    "pvt_v2": {
        "image_size": 64,
        "hidden_sizes": [8, 16, 24, 32],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 2, 3, 4],
        "mlp_ratios": [2, 2, 2, 2],
    },
    "segformer": {
        "hidden_sizes": [8, 16, 24, 32],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 2, 3, 4],
        "mlp_ratios": [2, 2, 2, 2],
    },
    "glpn": {
        "hidden_sizes": [8, 16, 24, 32],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 2, 3, 4],
        "mlp_ratios": [2, 2, 2, 2],
    },
    "levit": {
        "image_size": 32,
        "hidden_sizes": [16, 24, 32],
        "num_attention_heads": [1, 2, 2],
        "depths": [1, 1, 1],
        "key_dim": [8, 8, 8],
    },
    "cvt": {
        "embed_dim": [8, 16, 32],
        "num_heads": [1, 2, 4],
        "depth": [1, 2, 3],
        "cls_token": [False, False, True],
    },
    "hiera": {
        "image_size": [64, 64],
        "embed_dim": 16,
        "depths": [1, 1, 2, 1],
        "num_heads": [1, 2, 4, 8],
    },
    "textnet": {
        "stem_num_channels": 3,
        "stem_out_channels": 8,
        "hidden_sizes": [8, 8, 16, 24, 32],
    },
    "hgnet_v2": {
        "embedding_size": 16,
        "stem_channels": [3, 8, 16],
        "hidden_sizes": [16, 24, 32, 40],
        "depths": [1, 1, 1, 1],
        "stage_in_channels": [16, 16, 24, 32],
        "stage_mid_channels": [8, 8, 8, 8],
        "stage_out_channels": [16, 24, 32, 40],
        "stage_num_blocks": [1, 1, 1, 1],
        "stage_numb_of_layers": [2, 2, 2, 2],
    },
    "swiftformer": {
        "image_size": 64,
        "depths": [1, 1, 1, 1],
        "embed_dims": [8, 16, 24, 32],
        "mlp_ratio": 2,
    },
    "vitdet": _PLAIN
    | {"window_size": 2, "window_block_indices": [0], "use_relative_position_embeddings": True},
    "dinov3_vit": _PLAIN | {"num_register_tokens": 2},
    "dinov3_convnext": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
}
_IMAGE_SIZE = {
    "mobilevit": 64,
    "mobilevitv2": 64,
    "pvt": 64,
    "pvt_v2": 64,
    "hiera": 64,
    "swin2sr": 16,
}
_IMAGE_SIZE |= {"textnet": 64, "hgnet_v2": 64, "swiftformer": 64, "dinov3_convnext": 64}
_ARCHITECTURE = {
    "hgnet_v2": "HGNetV2ForImageClassification",
    "siglip_vision_model": "SiglipVisionModel",
    "sam_vision_model": "SamVisionModel",
}

_VIDEO = _PLAIN | {"image_size": 16, "num_frames": 4}

VISION: list[Entry] = [
    entry(
        model_type,
        Shrunken(settings, _ARCHITECTURE.get(model_type, "AutoModel")),
        ("pixel_values",),
        floats(3, _IMAGE_SIZE.get(model_type, 32), _IMAGE_SIZE.get(model_type, 32)),
    )
    for model_type, settings in _SETTINGS.items()
] + [
    entry(model_type, Shrunken(settings), ("pixel_values",), floats(4, 3, 16, 16))
    for model_type, settings in {
        "timesformer": _VIDEO,
        "vivit": _VIDEO | {"tubelet_size": [2, 8, 8]},
        "videomae": _VIDEO,
    }.items()
]
