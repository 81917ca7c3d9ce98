"""A stand-in for the server's HTTP surface, to try the client scripts in this folder without a build.

It answers with canned words, cuts its stream frames at awkward places, and refuses bad requests as the server does.
Run: python3 fake_server.py PORT [CONSOLE_PAGE]
"""

import http.server
import json
import pathlib
import sys
import time

MODEL = "demo"
CONTEXT = 2048
WORDS = "Grüße 👋 from a swift: it sleeps on the wing, and `apus serve` starts it.\n\n```sh\napus serve\n```\n\n".split(" ")
PAGE = pathlib.Path(__file__).parents[2] / "Sources/Gateway/CConsole/console.html"

NUMBERS = {
    "temperature": (0, 2), "top_p": (0, 1), "min_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2),
    "typical_p": (0, 1), "top_n_sigma": (-1, 100), "xtc_probability": (0, 1), "xtc_threshold": (0, 1),
    "dry_multiplier": (0, 100), "dry_base": (1, 10), "dry_allowed_length": (1, 1024), "mirostat": (0, 2),
    "mirostat_tau": (0, 100), "mirostat_eta": (0, 1), "dynatemp_range": (0, 2), "dynatemp_exponent": (0, 10),
    "top_logprobs": (0, 20),
}
KNOWN = set(NUMBERS) | {
    "model", "messages", "prompt", "stream", "stream_options", "max_tokens", "max_completion_tokens", "top_k", "stop",
    "seed", "n", "logit_bias", "user", "repetition_penalty", "dry_penalty_last_n", "dry_sequence_breakers", "logprobs",
    "post_sampling_probs", "min_tokens", "stop_token_ids",
}


class Refusal(Exception):
    def __init__(self, status, code, message, param=None):
        self.status = status
        self.body = {"error": {
            "message": message, "type": "invalid_request_error" if status == 400 else "not_found_error",
            "param": param, "code": code}}


def check(body, is_chat):
    if not isinstance(body.get("model"), str):
        raise Refusal(400, "invalid_type", "model must be a string", "model")
    if body["model"] != MODEL:
        raise Refusal(404, "model_not_found", f"the model '{body['model']}' is not served here", "model")
    for name in body:
        if name not in KNOWN:
            raise Refusal(400, "unknown_parameter", f"unknown parameter '{name}'", name)
    for name, (low, high) in NUMBERS.items():
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise Refusal(400, "invalid_type", f"{name} must be a number", name)
        if not low <= value <= high:
            raise Refusal(400, "invalid_value", f"{name} must be from {low} to {high}", name)
    stop = body.get("stop")
    if stop is not None and not isinstance(stop, str):
        if not isinstance(stop, list) or not all(isinstance(item, str) for item in stop) or len(stop) > 4:
            raise Refusal(400, "invalid_value", "stop must be a string or up to four", "stop")
    limit = body.get("max_tokens", body.get("max_completion_tokens"))
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise Refusal(400, "invalid_value", "max_tokens must be at least 1", "max_tokens")
    if is_chat and body.get("top_logprobs") and not body.get("logprobs"):
        raise Refusal(400, "invalid_value", "top_logprobs needs logprobs", "top_logprobs")
    if any(not 0 <= token < 4096 for token in body.get("stop_token_ids") or []):
        raise Refusal(400, "invalid_value", "there is no such token", "stop_token_ids")
    if is_chat and (not isinstance(body.get("messages"), list) or not body["messages"]):
        raise Refusal(400, "invalid_value", "messages must not be empty", "messages")
    length = len(json.dumps(body.get("messages") if is_chat else body.get("prompt"))) // 4
    if length + (limit or 1) > CONTEXT:
        raise Refusal(400, "context_length_exceeded", f"the context is {CONTEXT} tokens, but {length} were sent")
    return length


def log_probabilities(body, is_chat, pieces, offset=0):
    """The canned words as tokens, each likelier than rivals that are made up."""
    wanted = body.get("logprobs")
    if not pieces or wanted is None or wanted is False:
        return None
    count = body.get("top_logprobs") or 0 if is_chat else wanted
    value, count = (0.0, min(count, 1)) if body.get("post_sampling_probs") else (-0.5, count)
    rivals = [(f"rival {number}", -2.0 - number) for number in range(1, count)]
    if is_chat:
        def token(text, logprob):
            return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
        return {"refusal": None, "content": [
            token(p, value) | {"top_logprobs": [token(*top) for top in [(p, value), *rivals][:count]]} for p in pieces]}
    offsets = [offset + len("".join(pieces[:number])) for number in range(len(pieces))]
    return {
        "tokens": pieces, "token_logprobs": [value] * len(pieces), "text_offset": offsets,
        "top_logprobs": [dict([(p, value), *rivals]) for p in pieces]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        if kind.startswith("text/html"):
            self.send_header(
                "content-security-policy",
                "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
                "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "apus"}
        if self.path == "/":
            self.answer(200, PAGE.read_bytes(), "text/html; charset=utf-8")
        elif self.path == "/readyz":
            self.answer(200, {"status": "ready", "models": [{"id": MODEL, "state": "ready"}]})
        elif self.path == "/v1/models":
            self.answer(200, {"object": "list", "data": [model]})
        elif self.path == "/v1/models/" + MODEL:
            self.answer(200, model)
        else:
            self.answer(404, Refusal(404, "not_found", "not here").body)

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["content-length"]))
        try:
            body = json.loads(raw)
            is_chat = self.path == "/v1/chat/completions"
            prompt_tokens = check(body, is_chat)
            self.complete(body, is_chat, prompt_tokens)
        except Refusal as refusal:
            self.answer(refusal.status, refusal.body)

    def complete(self, body, is_chat, prompt_tokens):
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or (1000 if is_chat else 16)
        asks_long = "long" in json.dumps(body.get("messages", "")) or "story" in json.dumps(body.get("messages", ""))
        repeats = 20 if asks_long or body.get("min_tokens") else 1
        pieces = [word + " " for word in WORDS * repeats][:limit]
        reason = "length" if len(pieces) == limit else "stop"
        prompts = body.get("prompt")
        several = isinstance(prompts, list) and prompts and not isinstance(prompts[0], int)
        choices = (len(prompts) if several else 1) * (body.get("n") or 1)
        usage = {
            "prompt_tokens": prompt_tokens, "completion_tokens": len(pieces) * choices,
            "total_tokens": prompt_tokens + len(pieces) * choices}
        head = {
            "id": "chatcmpl-1" if is_chat else "cmpl-1", "created": int(time.time()), "model": MODEL,
            "object": "chat.completion" if is_chat else "text_completion"}
        if not body.get("stream"):
            text = "".join(pieces)
            part = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
            self.answer(200, head | {"usage": usage, "choices": [
                {"index": i, "finish_reason": reason, "logprobs": log_probabilities(body, is_chat, pieces)} | part
                for i in range(choices)]})
            return
        if is_chat:
            head["object"] = "chat.completion.chunk"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

        def chunk(part, finish=None, offset=0):
            delta = {"delta": part} if is_chat else {"text": part.get("content", "")}
            told = log_probabilities(body, is_chat, [part["content"]] if part.get("content") else [], offset)
            choice = {"index": 0, "finish_reason": finish, "logprobs": told} | delta
            return "data: " + json.dumps(head | {"choices": [choice]}, ensure_ascii=False) + "\n\n"

        frames = [": ping\n\n", chunk({"role": "assistant", "content": ""})] + [
            chunk({"content": p}, offset=len("".join(pieces[:i]))) for i, p in enumerate(pieces)]
        frames.append(chunk({}, reason))
        if (body.get("stream_options") or {}).get("include_usage"):
            frames.append("data: " + json.dumps(head | {"choices": [], "usage": usage}) + "\r\n\r\n")
        frames.append("data: [DONE]\n\n")
        data = "".join(frames).encode()
        step = 97 if not asks_long else 301
        try:
            for start in range(0, len(data), step):
                self.wfile.write(data[start:start + step])
                self.wfile.flush()
                time.sleep(0.02)
        except (BrokenPipeError, ConnectionResetError):
            pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256


if __name__ == "__main__":
    if len(sys.argv) > 2:
        PAGE = pathlib.Path(sys.argv[2])
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
