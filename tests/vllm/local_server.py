"""vLLM's own OpenAI server on this machine, for the tests: 127.0.0.1, a random key, adapters on."""

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from evoprompt.propose.vllm_engine import ENVIRONMENT

MODEL = "evoprompt-test"
START_SECONDS = 420  # a laptop takes half a minute


class LocalServer:
    """The server's process."""

    def __init__(self, folder: Path, log: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.key = f"sk-{secrets.token_hex(16)}"
        self.url = f"http://127.0.0.1:{port}/v1"
        self.log = log
        words = ["--model", str(folder), "--served-model-name", MODEL, "--dtype", "float32"]
        words += ["--host", "127.0.0.1", "--port", str(port), "--enforce-eager"]
        words += ["--load-format", "safetensors", "--max-num-seqs", "64"]
        words += ["--enable-lora", "--max-lora-rank", "16", "--generation-config", "vllm"]
        words += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", "8192"]
        environment = {**ENVIRONMENT, **os.environ, "OMP_NUM_THREADS": "1"}
        environment["VLLM_API_KEY"] = self.key  # in the arguments every user could read it
        environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
        environment["HF_HUB_OFFLINE"] = "1"
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *words],
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self):
        end = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError(f"vLLM's server did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.5)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url.removesuffix("/v1") + "/health", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False
