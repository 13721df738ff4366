"""A small real HTTP server that speaks OpenAI's protocol, for the tests of the openai engine.

It listens on 127.0.0.1 with a random key and writes its replies with a transformers engine, so a
search against it is a search with a model. A test may give it a script of misbehaviours, one for
each completion request; those stand for what real servers do wrong. It is not a serving product.
"""

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from evoprompt.candidate import Prompt, Sampling

MODEL = "tiny"


class ModelServer:
    """The server; `requests` holds the bodies of the completion requests, in order of arrival."""

    def __init__(self, engine, *, takes_many=True, loads_adapters=False, length=None):
        self.key = f"sk-{secrets.token_hex(16)}"
        self.engine = engine
        self.takes_many = takes_many
        self.loads_adapters = loads_adapters
        self.length = length
        self.script = []
        self.requests = []
        self.times = []
        self.adapters = {}
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            server_ref = outer

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.get(self)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.post(self, body)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def get(self, handler):
        if not self.is_allowed(handler):
            return
        card = {"id": MODEL} | ({"max_model_len": self.length} if self.length else {})
        send(handler, 200, {"data": [card, {"id": "other"}]})

    def post(self, handler, body):
        if not self.is_allowed(handler):
            return
        if handler.path == "/v1/load_lora_adapter":
            self.load(handler, body)
            return
        with self.lock:
            self.requests.append(body)
            self.times.append(time.monotonic())
            misbehave = self.script.pop(0) if self.script else None
        if misbehave is not None:
            misbehave(handler, body)
        else:
            send(handler, 200, self.completion(body, handler.path.endswith("/chat/completions")))

    def is_allowed(self, handler):
        if handler.headers.get("Authorization") == f"Bearer {self.key}":
            return True
        given = handler.headers.get("Authorization")
        send(handler, 401, {"error": {"message": f"invalid key: {given}"}})
        return False

    def load(self, handler, body):
        if not self.loads_adapters:
            send(handler, 404, {"detail": "Not Found"})
        elif "lora_name" not in body:
            send(handler, 400, {"error": {"message": "lora_name is missing"}})
        else:
            self.adapters[body["lora_name"]] = Path(body["lora_path"])
            send(handler, 200, {})

    def completion(self, body, is_chat):
        prompt = body["messages"][-1]["content"] if is_chat else body["prompt"]
        count = body.get("n", 1) if self.takes_many else 1
        asked = Sampling(
            body.get("temperature", 1.0),
            count,
            body.get("seed", 0),
            body.get("top_p", 1.0),
            body.get("max_tokens") or body["max_completion_tokens"],
        )
        with self.lock:
            adapter = self.adapters.get(body["model"])
            if self.engine.version != body["model"]:
                self.engine.use(body["model"], adapter)
            (replies,) = self.engine.sample([Prompt(prompt, "", "", "", (), "")], [asked])
        texts = [reply.text.removesuffix("@end").rstrip() for reply in replies]  # as servers do
        choices = [
            {"finish_reason": "stop" if reply.is_finished else "length"}
            | ({"message": {"content": text}} if is_chat else {"text": text})
            for reply, text in zip(replies, texts, strict=True)
        ]
        usage = {
            "prompt_tokens": sum(reply.prompt_tokens for reply in replies),
            "completion_tokens": sum(reply.token_count for reply in replies),
        }
        return {"choices": choices, "usage": usage}


def send(handler, status, answer, headers=None):
    data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    handler.send_response(status)
    for name, value in ({"Content-Length": str(len(data))} | (headers or {})).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)


def says(text, finish="stop", status=200, headers=None):
    """A whole answer with this text, or with this object."""
    answer = text
    if isinstance(text, str) or text is None:
        answer = {"choices": [{"message": {"content": text}, "finish_reason": finish}]}
    return lambda handler, body: send(handler, status, answer, headers)


def fails(status, message="try later", headers=None, **error):
    return says({"error": {"message": message, **error}}, status=status, headers=headers)


def hangs(seconds):
    return lambda handler, body: time.sleep(seconds)


def drips(handler, body):
    """A byte now and then, for ever, so that no single read takes long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.05)
    except OSError:
        pass


def cuts(handler, body):
    """Half an answer, and then the connection is closed."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"message"')
    handler.connection.close()


def redirects(url):
    def answer(handler, body):
        send(handler, 307, {}, {"Location": url})

    return answer
