"""One JSON request to a server, under a time limit, with retries and a pace.

In: method, path, body. Out: the server's JSON object and how often it was asked again. Redirects
are not followed, because they would carry the key elsewhere; proxies of the environment are used.
Every failure is a `ServerError` that says whether waiting may help; the key is in no message.
Not promised: that a request which failed was not paid for.
"""

import contextlib
import email.utils
import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]
CONNECT_SECONDS = 30.0  # nothing cuts this wait short when the search is stopped
LONGEST_ANSWER = 64 * 2**20  # bytes; 16 replies of a megabyte each fit
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
LONGEST_BACKOFF = 60.0  # seconds
BUSY = 429
PASSING = (408, 409, 425, BUSY)  # with all of 500 and above: asking again may help


class ServerError(Exception):
    """A request that brought nothing."""

    def __init__(self, what: str, status: int | None = None, parameter: str | None = None) -> None:
        super().__init__(what)
        self.status = status
        """HTTP status; None where there was no answer, or one that could not be read."""
        self.parameter = parameter
        """The parameter that the server does not take, where it says so."""
        self.wait: float | None = None
        """Seconds after which the server wants to be asked again."""

    @property
    def may_pass(self) -> bool:
        """Whether asking again may help."""
        return self.status is None or self.status in PASSING or self.status >= 500


class Server:
    """Where requests go, and how fast."""

    def __init__(
        self, url: str, key: str | None, seconds_limit: float, retries: int, per_minute: int | None
    ) -> None:
        self._url = url.rstrip("/")
        self._is_local = urlsplit(url).hostname in LOCAL_HOSTS
        self._key = key
        self._limit = seconds_limit
        self._retries = retries
        self._pace = Pace(per_minute)
        self._guards: set[_Guard] = set()
        self._is_closed = threading.Event()

    def ask(self, method: str, path: str, body: Json | None = None) -> tuple[Json, int]:
        """The answer and the number of retries; raises ServerError after the last one."""
        for attempt in range(self._retries + 1):
            self._pace.wait(self._is_closed)
            try:
                return self._once(method, path, body), attempt
            except ServerError as error:
                wait = min(2.0**attempt, LONGEST_BACKOFF) if error.wait is None else error.wait
                is_last = attempt == self._retries or wait > self._limit
                if is_last or not error.may_pass or self._is_closed.is_set():
                    raise
                if error.status == BUSY or error.wait is not None:
                    self._pace.hold(wait)  # for everybody
                else:
                    self._is_closed.wait(wait)
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """End every request under way."""
        self._is_closed.set()
        for guard in list(self._guards):
            guard.end()

    def _once(self, method: str, path: str, body: Json | None) -> Json:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(
            self._url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers=headers,
            method=method,
        )
        guard = _Guard(self._limit)
        self._guards.add(guard)
        try:
            with guard.opener(self._is_local).open(request, timeout=self._limit) as response:
                data = _read(response)
            if guard.is_over:
                raise TimeoutError
            return _object(data)
        except urllib.error.HTTPError as error:
            raise self._http_error(error) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            hung = guard.is_over or isinstance(error, TimeoutError)
            what = f"no whole answer within {self._limit:g} s" if hung else self._hidden(str(error))
            raise ServerError(what or type(error).__name__) from None
        finally:
            guard.end()
            self._guards.discard(guard)

    def _http_error(self, error: urllib.error.HTTPError) -> ServerError:
        text = ""
        with contextlib.suppress(OSError, http.client.HTTPException):
            text = error.read(20_000).decode(errors="replace")
        message, parameter = _explanation(text)
        if 300 <= error.code < 400:
            message = "it answers with a redirect, which is not followed"
        made = ServerError(f"status {error.code}: {self._hidden(message)}", error.code, parameter)
        made.wait = _retry_after(error.headers.get("Retry-After"))
        return made

    def _hidden(self, text: str) -> str:
        """The text without the key, which servers like to repeat."""
        return (text.replace(self._key, "<key>") if self._key else text)[:300]


class Pace:
    """When the next request may go: so many a minute, and none while the server wants to rest."""

    def __init__(self, per_minute: int | None) -> None:
        self._between = 60 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, stop: threading.Event) -> None:
        """Wait for a turn; a stop ends the wait."""
        while True:
            with self._lock:
                now = time.monotonic()
                if now >= self._next:
                    self._next = now + self._between
                    return
                missing = self._next - now
            if stop.wait(missing):
                return

    def hold(self, seconds: float) -> None:
        """Let nobody ask for this long."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class _Guard:
    """Ends a request's connections when its time is over, however slowly bytes still come."""

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._time_over)
        self._timer.daemon = True
        self._timer.start()

    def opener(self, is_local: bool) -> urllib.request.OpenerDirector:
        """Opens URLs over connections that this guard knows; to this machine without a proxy."""
        guard = self

        class Plain(urllib.request.HTTPHandler):
            def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(guard.known(http.client.HTTPConnection), req)

        class Secure(urllib.request.HTTPSHandler):
            def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(guard.known(http.client.HTTPSConnection), req)

        handlers: list[Any] = [Plain, Secure, _NoRedirect]
        if is_local:
            handlers.append(urllib.request.ProxyHandler({}))
        return urllib.request.build_opener(*handlers)

    def known(self, kind: type[http.client.HTTPConnection]) -> Callable[..., Any]:
        """A maker of connections whose sockets are noted."""

        def make(host: str, **options: Any) -> http.client.HTTPConnection:
            seconds = options.pop("timeout")
            connection = kind(host, timeout=min(seconds, CONNECT_SECONDS), **options)
            connect = connection.connect

            def noted() -> None:
                connect()
                connection.sock.settimeout(seconds)
                self._sockets.append(connection.sock)

            connection.connect = noted
            return connection

        return make

    def end(self) -> None:
        """Cut the connections; a finished request has none left."""
        self._timer.cancel()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _time_over(self) -> None:
        self.is_over = True
        self.end()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none: the answer stays an error."""


def _read(response: Any) -> bytes:
    data = response.read(LONGEST_ANSWER + 1)
    if len(data) > LONGEST_ANSWER:
        raise ValueError(f"an answer of more than {LONGEST_ANSWER} bytes")
    if response.length:  # of what was announced; http.client does not mind
        raise ValueError(f"the answer was cut, {response.length} bytes are missing")
    return data


def _object(data: bytes) -> Json:
    try:
        answer = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError):
        raise ValueError(f"no JSON: {data[:80]!r}") from None
    return answer if isinstance(answer, dict) else {"answer": answer}


def _explanation(text: str) -> tuple[str, str | None]:
    """What an error's body says, and which parameter it names."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return " ".join(text.split())[:200] or "no explanation", None
    error = said.get("error", said) if isinstance(said, dict) else said
    if not isinstance(error, dict):
        return str(error)[:200], None
    message = error.get("message") or error.get("detail") or text
    parameter = error.get("param")
    return str(message), parameter if isinstance(parameter, str) else None


def _retry_after(header: str | None) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or a date."""
    if not header:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(header))
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    return None
