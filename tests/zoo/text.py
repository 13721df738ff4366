"""Shrunken text encoders and causal language models of transformers: 12 tokens out of 60."""

from tests.zoo.entry import Entry, Shrunken, entry, tokens

_VOCABULARY = 60
_LENGTH = 12

_PLAIN = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
_XLM = {
    "vocab_size": _VOCABULARY,
    "n_vocab": _VOCABULARY,
    "emb_dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "max_position_embeddings": 40,
}
_T5 = {"vocab_size": _VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2}
_BART = {
    "vocab_size": _VOCABULARY,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 40,
}
_CAUSAL = _PLAIN | {"num_key_value_heads": 2}

_SETTINGS: dict[str, dict] = {
    "bert": _PLAIN,
    "roberta": _PLAIN,
    "xlm-roberta": _PLAIN,
    "camembert": _PLAIN,
    "electra": _PLAIN | {"embedding_size": 16},
    "albert": _PLAIN | {"embedding_size": 16},
    "distilbert": {
        "vocab_size": _VOCABULARY,
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 48,
        "max_position_embeddings": 40,
    },
    "mpnet": _PLAIN,
    "deberta": _PLAIN | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "deberta-v2": _PLAIN
    | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "conv_kernel_size": 3},
    "funnel": {
        "vocab_size": _VOCABULARY,
        "block_repeats": [1, 1],
        "block_sizes": [1, 1],
        "num_decoder_layers": 1,
        "d_model": 32,
        "n_head": 4,
        "d_head": 8,
        "d_inner": 48,
    },
    "squeezebert": _PLAIN | {"embedding_size": 32},
    "convbert": _PLAIN | {"embedding_size": 16},
    "nystromformer": _PLAIN | {"segment_means_seq_len": 12, "num_landmarks": 4},
    "fnet": _PLAIN,
    "roformer": _PLAIN | {"embedding_size": 32},
    "xlm": _XLM,
    "flaubert": _XLM,
    "modernbert": _PLAIN | {"local_attention": 4, "cls_token_id": 0, "sep_token_id": 2},
    "rembert": _PLAIN | {"input_embedding_size": 16, "output_embedding_size": 16},
    "megatron-bert": _PLAIN,
    "mobilebert": _PLAIN
    | {"embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16},
    "splinter": _PLAIN,
    "ernie": _PLAIN,
    "layoutlm": _PLAIN,
    "lilt": _PLAIN | {"hidden_size": 48},
    "bert-generation": _PLAIN,
    "roberta-prelayernorm": _PLAIN,
    "data2vec-text": _PLAIN,
    "xmod": _PLAIN | {"languages": ["en"], "default_language": "en"},
    "yoso": _PLAIN | {"use_expectation": True},
    "mra": _PLAIN | {"block_per_row": 1},
    "ibert": _PLAIN,
    "canine": _PLAIN
    | {"num_hash_buckets": 20, "downsampling_rate": 2, "local_attention_length": 4},
    "esm": _PLAIN | {"position_embedding_type": "rotary", "mask_token_id": 3},
    "xlnet": {"vocab_size": _VOCABULARY, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48},
    "big_bird": _PLAIN | {"attention_type": "original_full"},
    "longformer": _PLAIN | {"attention_window": 4},
    "luke": _PLAIN | {"entity_vocab_size": 10, "entity_emb_size": 16},
    "clip_text_model": _PLAIN,
    "t5": _T5,
    "mt5": _T5,
    "umt5": _T5,
    "gpt2": {
        "vocab_size": _VOCABULARY,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 40,
    },
    "gpt_neo": {
        "vocab_size": _VOCABULARY,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 4,
        "max_position_embeddings": 40,
    },
    "gpt_neox": _PLAIN,
    "opt": _PLAIN | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "bloom": {"vocab_size": _VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    "llama": _CAUSAL,
    "mistral": _CAUSAL | {"sliding_window": 4},
    "qwen2": _CAUSAL,
    "gemma": _CAUSAL | {"head_dim": 8},
    "phi": _CAUSAL,
    "qwen3": _CAUSAL | {"head_dim": 8},
    "falcon": _PLAIN,
    "gptj": {
        "vocab_size": _VOCABULARY,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "rotary_dim": 4,
        "n_positions": 40,
    },
    "mamba": {"vocab_size": _VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2},
    "bart": _BART,
    "mbart": _BART,
}
_ARCHITECTURE = {
    "funnel": "FunnelModel",
    "t5": "T5EncoderModel",
    "mt5": "MT5EncoderModel",
    "umt5": "UMT5EncoderModel",
    "clip_text_model": "CLIPTextModel",
}

TEXT: list[Entry] = [
    entry(
        model_type,
        Shrunken(
            settings,
            _ARCHITECTURE.get(model_type, "AutoModel"),
            "encoder" if settings is _BART else "",
        ),
        ("input_ids",),
        tokens(_LENGTH, _VOCABULARY),
    )
    for model_type, settings in _SETTINGS.items()
]
