"""Shrunken audio and time-series encoders of transformers: raw waves, spectrograms, series."""

from tests.zoo.entry import Entry, Shrunken, entry, floats

_WAVE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": [16, 16],
    "conv_kernel": [10, 3],
    "conv_stride": [5, 2],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "num_feat_extract_layers": 2,
}
_SERIES = {
    "num_input_channels": 3,
    "context_length": 32,
    "patch_length": 8,
    "patch_stride": 8,
    "d_model": 16,
    "num_hidden_layers": 2,
    "num_layers": 2,
    "num_attention_heads": 4,
    "ffn_dim": 32,
}

_WAVES: dict[str, dict] = {
    "wav2vec2": _WAVE,
    "hubert": _WAVE,
    "wavlm": _WAVE,
    "unispeech": _WAVE,
    "unispeech-sat": _WAVE,
    "wav2vec2-conformer": _WAVE | {"position_embeddings_type": "relative"},
    "data2vec-audio": _WAVE | {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5},
    "sew": _WAVE | {"squeeze_factor": 2},
    "sew-d": _WAVE | {"squeeze_factor": 2, "feature_layer_norm_eps": 1e-7},
}

AUDIO: list[Entry] = [
    entry(model_type, Shrunken(settings), ("input_values",), floats(200))
    for model_type, settings in _WAVES.items()
] + [
    entry(
        "audio-spectrogram-transformer",
        Shrunken(
            {
                "hidden_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "intermediate_size": 48,
                "patch_size": 8,
                "frequency_stride": 4,
                "time_stride": 4,
                "max_length": 32,
                "num_mel_bins": 16,
            }
        ),
        ("input_values",),
        floats(32, 16),
    ),
    entry(
        "whisper",
        Shrunken(
            {
                "vocab_size": 60,
                "d_model": 32,
                "encoder_layers": 2,
                "decoder_layers": 1,
                "encoder_attention_heads": 4,
                "decoder_attention_heads": 4,
                "encoder_ffn_dim": 48,
                "decoder_ffn_dim": 48,
                "num_mel_bins": 16,
                "max_source_positions": 16,
                "max_target_positions": 16,
                "pad_token_id": 1,
            },
            part="encoder",
        ),
        ("input_features",),
        floats(16, 32),
    ),
    entry(
        "speech_to_text",
        Shrunken(
            {
                "vocab_size": 60,
                "d_model": 32,
                "encoder_layers": 2,
                "decoder_layers": 1,
                "encoder_attention_heads": 4,
                "decoder_attention_heads": 4,
                "encoder_ffn_dim": 48,
                "decoder_ffn_dim": 48,
                "input_feat_per_channel": 16,
                "conv_channels": 16,
            },
            part="encoder",
        ),
        ("input_features",),
        floats(32, 16),
    ),
    entry(
        "wav2vec2-bert",
        Shrunken(
            {
                "hidden_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "intermediate_size": 48,
                "feature_projection_input_dim": 16,
                "conv_depthwise_kernel_size": 5,
            }
        ),
        ("input_features",),
        floats(20, 16),
    ),
    entry("patchtst", Shrunken(_SERIES), ("past_values",), floats(32, 3)),
    entry("patchtsmixer", Shrunken(_SERIES), ("past_values",), floats(32, 3)),
]
