"""A small HTTP server that speaks the OpenAI chat protocol and misbehaves on demand."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OK = "ok"


class Script:
    """What the server answers: `plan` holds one entry per request, then `reply` answers for ever.

    An entry is a status code, a number of seconds to wait (a float), `broken` (half a JSON body), or `OK`.
    """

    def __init__(self):
        self.plan = []
        self.replies = []
        self.reply = "fine"
        self.finish = "stop"
        self.usage = True
        self.top_logprobs = None
        self.refuse_schema = False
        self.requests = []
        self.keys = []
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Lock()


def chat_completion(script, body):
    text = script.replies.pop(0) if script.replies else script.reply
    choice = {"index": 0, "finish_reason": script.finish, "message": {"role": "assistant", "content": text}}
    if body.get("logprobs") and script.top_logprobs:
        top = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in script.top_logprobs]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}], "refusal": None}
    answer = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
    if script.usage:
        answer["usage"] = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return answer


@contextmanager
def openai_server():
    """Yield the server's base URL and its script."""
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with script.lock:
                script.requests.append(body)
                script.keys.append(self.headers.get("Authorization"))
                step = script.plan.pop(0) if script.plan else OK
                script.at_once += 1
                script.most_at_once = max(script.most_at_once, script.at_once)
            try:
                self.answer(step, body)
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                with script.lock:
                    script.at_once -= 1

        def answer(self, step, body):
            if isinstance(step, float):
                time.sleep(step)
            if isinstance(step, int):
                self.send(step, {"error": {"message": f"injected {step}", "type": "test"}})
            elif script.refuse_schema and "response_format" in body:
                self.send(400, {"error": {"message": "response_format is not supported", "type": "test"}})
            else:
                with script.lock:
                    content = chat_completion(script, body)
                self.send(200, content, broken=step == "broken")

        def send(self, status, content, broken=False):
            data = json.dumps(content).encode()
            if broken:
                data = data[: len(data) // 2]
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
