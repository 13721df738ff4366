"""The process that imports vLLM: token ids in, token ids out, by JSON lines (`worker_pipe`).

In: one `start` request with the model's folder and limits, then `sample` requests. Out: replies as
token ids. No code of a model repository is run, and only safetensors are read.
Not promised: the same replies on another machine; vLLM batches as it sees fit.
"""

from typing import Any

from evoprompt.propose.worker_pipe import Json, serve


class Worker:
    """Holds vLLM's model between requests."""

    def __init__(self) -> None:
        self._model: Any = None

    def answer(self, request: Json) -> Json:
        """Do what a request asks."""
        if request["do"] == "start":
            return self._start(request)
        return {"replies": self._sample(request["prompts"], request["adapter"])}

    def _start(self, request: Json) -> Json:
        import torch
        from vllm import LLM  # pyright: ignore[reportMissingImports]

        has_gpu = torch.cuda.is_available()
        # On the CPU a prompt read in pieces and a seed together end vLLM 0.32 with an error.
        whole = {
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(8192, request["context"]),
        }
        limits = {"gpu_memory_utilization": request["gpu_share"]} if has_gpu else whole
        adapters = {"enable_lora": True, "max_lora_rank": request["rank"], "max_loras": 1}
        self._model = LLM(
            model=request["folder"],
            dtype="bfloat16" if has_gpu else "float32",
            load_format="safetensors",
            trust_remote_code=False,
            generation_config="vllm",
            max_model_len=request["context"],
            max_num_seqs=256 if has_gpu else 64,
            tensor_parallel_size=request["gpus"],
            enforce_eager=not has_gpu,  # on the CPU compiling took a minute and gained nothing
            enable_prefix_caching=True,
            disable_log_stats=True,
            seed=0,
            **(adapters if request["rank"] else {}),
            **limits,
        )
        return {"device": "cuda" if has_gpu else "cpu"}

    def _sample(self, prompts: list[Json], adapter: Json | None) -> list[list[list[int]]]:
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]
        from vllm.lora.request import LoRARequest  # pyright: ignore[reportMissingImports]

        parameters = [
            SamplingParams(
                n=each["count"],
                temperature=each["temperature"],
                top_p=each["top_p"],
                seed=each["seed"],
                max_tokens=each["max_tokens"],
                stop_token_ids=each["end_tokens"],
                detokenize=False,
            )
            for each in prompts
        ]
        loaded = adapter and LoRARequest(adapter["name"], adapter["number"], adapter["folder"])
        written = self._model.generate(
            [{"prompt_token_ids": each["tokens"]} for each in prompts],
            parameters,
            lora_request=loaded,
            use_tqdm=False,
        )
        return [
            [list(reply.token_ids) for reply in sorted(each.outputs, key=lambda o: o.index)]
            for each in written
        ]


if __name__ == "__main__":
    serve(Worker().answer)
