"""Replies from any server that speaks OpenAI's protocol, by chat or plain completions.

In: prompts and samplings. Out: raw replies, with the tokens that the server counted. Requests run
side by side; one that stays without an answer is a counted rejection, and only a server that says
nothing at all any more ends the search. The key comes from the environment and goes nowhere else.
Not promised: equal replies to equal seeds, which is the server's business.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from evoprompt.candidate import Prompt, Reply, Sampling
from evoprompt.config import ProposerSettings
from evoprompt.errors import ModelError
from evoprompt.propose.chat import chat_messages
from evoprompt.propose.engine import TunableBase
from evoprompt.propose.model_files import adapter_fingerprint, check_adapter
from evoprompt.propose.refusals import no_reply, refused, too_long
from evoprompt.propose.server_replies import CHARACTERS_PER_TOKEN, read_answer
from evoprompt.propose.server_requests import LOCAL_HOSTS, Json, Server, ServerError

DISPENSABLE = ("seed", "top_p", "temperature", "n")  # left away where a server refuses them
SILENT_CALLS = 2  # calls in which nothing was answered, one after the other, end the search
TOO_LONG = ("context length", "context_length", "maximum context", "too long", "max_model_len")


class OpenaiEngine:
    """An `Engine` over a server."""

    def __init__(self, settings: ProposerSettings) -> None:
        """Ask the server for its models; raises ModelError where it cannot be used."""
        self._settings = settings
        self._where = _checked_url(settings.server.url)
        self._server = Server(
            self._where,
            _key(settings),
            settings.seconds_limit,
            settings.retries,
            settings.server.per_minute,
        )
        self._pool = ThreadPoolExecutor(settings.server.concurrent, "server-request")
        self._left_away: set[str] = set()
        self._length_name = "max_tokens"
        self._silent_calls = 0
        self._model = settings.model
        self.notes: tuple[str, ...] = ()
        self.version = "openai"
        self.base: TunableBase | None = None
        self._context = self._find_model()
        if settings.server.weights is not None:
            self._prepare_tuning(settings.server.weights)

    def sample(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Reply]]:
        """`count` replies to each prompt; raises ModelError where the server is of no use."""
        futures = [
            self._pool.submit(self._answer, prompt, sampling)
            for prompt, sampling in zip(prompts, samplings, strict=True)
        ]
        try:
            answers = [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        reasons = [reply.refusal for replies in answers for reply in replies]
        silent = [each for each in reasons if each is not None and each.reason == "no_reply"]
        self._silent_calls = self._silent_calls + 1 if silent == reasons and silent else 0
        if self._silent_calls >= SILENT_CALLS:
            raise ModelError(
                f"{self._where}: no reply to anything in {SILENT_CALLS} calls, the last time "
                f"because of: {silent[-1].detail}. Expected a server that answers. Nothing "
                "recorded is lost: resume the run once it does."
            )
        return answers

    def prompt_size(self, text: str) -> tuple[int, int] | None:
        """Tokens of a prompt (a guess without the weights) and the context, where it is known."""
        if self._context is None:
            return None
        if self.base is not None:
            return len(self.base.encode_prompt(text)), self._context
        return -(-len(text) // CHARACTERS_PER_TOKEN), self._context

    def use(self, version: str, adapter: Path | None) -> None:
        """Let the server load the adapter, which it must be able to read; raises ModelError."""
        if adapter is None:
            self._model, self.version = self._settings.model, version
            return
        if self.base is None:
            raise ModelError(
                f"{adapter}: this server takes no adapters ({self._where}). Expected one that "
                "loads them, and --proposer.server.weights. Set --learn.steps 0."
            )
        check_adapter(adapter, self.base.fingerprint)
        name = f"evoprompt-{adapter_fingerprint(adapter)[:16]}"
        body: Json = {"lora_name": name, "lora_path": str(adapter.resolve())}
        try:
            self._server.ask("POST", "/load_lora_adapter", body)
        except ServerError as error:
            if "already" not in str(error):
                raise ModelError(
                    f"{adapter}: the server at {self._where} does not load it ({error}). Expected "
                    "a server of the same base model that can read this folder and takes its rank. "
                    "Start it so, or set --learn.steps 0."
                ) from None
        self._model, self.version = name, version

    def rest(self) -> None:
        """The server is somebody else's."""

    def close(self) -> None:
        """End the requests under way."""
        self._server.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _answer(self, prompt: Prompt, sampling: Sampling) -> list[Reply]:
        """All replies to a prompt; a server that sends fewer than asked for is asked again."""
        replies: list[Reply] = []
        while len(replies) < sampling.count:
            missing = sampling.count - len(replies)
            asked = 1 if "n" in self._left_away else missing
            part = replace(sampling, count=asked, seed=sampling.seed + len(replies))
            try:
                got = self._request(prompt, part)
            except ServerError as error:
                self._stop_if_hopeless(error)
                is_long = error.status in (400, 413, 422) and any(w in str(error) for w in TOO_LONG)
                size = self.prompt_size(prompt.text) if is_long else None
                why = too_long(*size) if size else no_reply(str(error))
                return [*replies, *refused(why, missing, self._settings.retries)]
            if len(got) == 1 < asked:
                self._left_away.add("n")  # it does not know several replies to one request
            replies += got
        return replies

    def _request(self, prompt: Prompt, sampling: Sampling) -> list[Reply]:
        """Replies to one request, as many as the server sends."""
        path = "/chat/completions" if self._settings.server.chat else "/completions"
        for _ in range(len(DISPENSABLE) + 2):
            started = time.perf_counter()
            try:
                answer, retries = self._server.ask("POST", path, self._body(prompt, sampling))
            except ServerError as error:
                if not self._gives_way(error):
                    raise
                continue
            return read_answer(
                answer,
                sampling.count,
                prompt.text,
                speaks_edits=prompt.reply_format == "edits",
                seconds=time.perf_counter() - started,
                retries=retries,
            )
        raise ServerError("the server takes none of the parameters of sampling", 400)

    def _body(self, prompt: Prompt, sampling: Sampling) -> Json:
        given: Json = {
            "model": self._model,
            "n": sampling.count,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed % 2**31,
            self._length_name: sampling.max_tokens,
        }
        if self._settings.server.chat:
            given["messages"] = chat_messages(prompt.text)
        else:
            given["prompt"] = prompt.text
        return {key: value for key, value in given.items() if key not in self._left_away}

    def _gives_way(self, error: ServerError) -> bool:
        """Whether another form of the request may be taken; what is refused is not sent again."""
        name = error.parameter
        if error.status not in (400, 422) or name is None:
            return False
        if name == "max_tokens" and "max_completion_tokens" in str(error):
            self._length_name = "max_completion_tokens"
            return True
        if name in DISPENSABLE:
            self._left_away.add(name)
            return True
        return False

    def _stop_if_hopeless(self, error: ServerError) -> None:
        """A key or a model that the server does not know will not be known later."""
        if error.status in (401, 403, 404):
            raise self._unusable(error) from None

    def _unusable(self, error: ServerError) -> ModelError:
        variable = self._settings.server.key_variable
        return ModelError(
            f"{self._where}: the server cannot be used with the model {self._model!r} ({error}). "
            f"Expected one that speaks OpenAI's protocol and takes the key in {variable}. Check "
            "--proposer.server.url, --proposer.model and the key."
        )

    def _find_model(self) -> int | None:
        """The model's context, where the server tells it; raises ModelError."""
        try:
            answer, _ = self._server.ask("GET", "/models")
        except ServerError as error:
            if error.status in (404, 405, 501):
                return None  # not every server lists its models
            raise self._unusable(error) from None
        listed = answer.get("data")
        known = [m for m in listed if isinstance(m, dict)] if isinstance(listed, list) else []
        names = [str(each.get("id")) for each in known]
        if names and self._model not in names:
            raise ModelError(
                f"{self._where}: no model {self._model!r}. Expected one of {', '.join(names[:10])}"
                f"{' and others' if len(names) > 10 else ''}. Name it with --proposer.model."
            )
        length = next((m.get("max_model_len") for m in known if m.get("id") == self._model), None)
        return length if isinstance(length, int) else None

    def _prepare_tuning(self, weights: str) -> None:
        """Open the served weights, if the server loads adapters at all."""
        try:
            self._server.ask("POST", "/load_lora_adapter", {})
        except ServerError as error:
            if error.status not in (400, 422):
                self.notes = (
                    f"the server at {self._where} loads no adapters ({error}), so the proposer is "
                    "not tuned; vLLM's does with --enable-lora and "
                    "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True",
                )
                return
        from evoprompt.propose.local_base import BASE_VERSION, open_base

        base = open_base(weights)
        self._context = min(base.context, self._context or base.context)
        self.base, self.version = replace(base, context=self._context), BASE_VERSION


def _checked_url(url: str) -> str:
    """The URL, without anything that must not be recorded; raises ModelError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ModelError(
            f"{url!r} is no address of a server. Expected such as http://127.0.0.1:8000/v1. "
            "Correct --proposer.server.url."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ModelError(
            "--proposer.server.url holds a name, a password or a query, which would be recorded. "
            "Expected scheme, host, port and path only. Put the key into the environment variable "
            "that --proposer.server.key-variable names."
        )
    return url.rstrip("/")


def _key(settings: ProposerSettings) -> str | None:
    """The key from the environment; servers on this machine may go without; raises ModelError."""
    variable = settings.server.key_variable
    key = os.environ.get(variable, "").strip()
    if not key and urlsplit(settings.server.url).hostname not in LOCAL_HOSTS:
        raise ModelError(
            f"the environment variable {variable} is not set. Expected the key of "
            f"{settings.server.url}. Set it in the shell, or name another one with "
            "--proposer.server.key-variable."
        )
    if not key.isascii() or not key.isprintable():
        raise ModelError(
            f"the environment variable {variable} holds characters that no header may carry. "
            "Expected a key of printable ASCII. Set it again."
        )
    return key or None
