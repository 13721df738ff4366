"""A child process for the tests of `worker_pipe`: it answers, prints, fails, dies or hangs."""

import os
import time

from evoprompt.propose.worker_pipe import serve


def answer(request):
    if request["do"] == "die":
        print("out of memory, good bye", flush=True)
        os._exit(3)
    if request["do"] == "hang":
        print("thinking about it", flush=True)
        time.sleep(600)
    if request["do"] == "fail":
        raise ValueError("not like this")
    print("printed lines are no answers")
    return {"pid": os.getpid(), "echo": request.get("text", "")[::-1]}


if __name__ == "__main__":
    serve(answer)
