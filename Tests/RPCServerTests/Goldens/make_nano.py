#!/usr/bin/env python3
"""Writes the transcripts of the ancestor's wire form from its description: docs/reference/rkllm.md, "The nano mode".

It knows nothing of the server: what a frame holds is spelled out here once, and each transcript says which frames come.
"""
import json
import pathlib

FOLDER = pathlib.Path(__file__).parent


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def request(number, method, params=None):
    message = {"jsonrpc": "2.0", "id": number, "method": method}
    if params is not None:
        message["params"] = params
    return "> " + compact(message)


def answer(number, result):
    return "< " + compact({"jsonrpc": "2.0", "id": number, "result": result})


def error(number, code, data):
    return "< " + compact({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": "-", "data": data}})


def frame(number, text, token, state, rows=None, perf=None, failure=None):
    """All members of RKLLMResult in the order of the header, and the state of the callback."""
    hidden = {"hidden_states": None, "embd_size": 0, "num_tokens": 0}
    if rows is not None:
        hidden = {"hidden_states": [x for row in rows for x in row], "embd_size": len(rows[0]), "num_tokens": len(rows)}
    result = {"text": text, "token_id": token, "last_hidden_layer": hidden,
              "logits": {"logits": None, "vocab_size": 0, "num_tokens": 0}, "perf": perf}
    if failure is not None:
        result["error"] = failure
    result["_callback_state"] = state
    return answer(number, result)


NORMAL, WAITING, FINISH, ERROR = range(4)
# What the scripted engine says at the end: 3 prompt tokens, one of them cached, 30 ms; 2 tokens in 50 ms.
PERF = {"prefill_time_ms": 30.0, "prefill_tokens": 2, "generate_time_ms": 50.0, "generate_tokens": 2,
        "memory_usage_mb": 1.0}
LOST = {"type": "worker_lost", "loss": "crashed", "retry_after_ms": 1000}
CONFIGURE = [request(0, "rpc.configure", {"compat": "nano"}),
             answer(0, {"compat": "nano", "stream": True, "tensors": "array"})]
BEGIN = ["* accepted", "* started"]
END = ["* stop", "* finished"]


def tokens(text, ids):
    return "* tokens " + compact({"text": text, "ids": ids})


def run(number, params, method="rkllm.run"):
    return request(number, method, params)


transcripts = {
    "run": [
        "# One response for each token with the id of the request; FINISH alone has the figures.",
        "# Tokens that end in one piece of text are told one by one: those before the last are WAITING.",
        *CONFIGURE,
        run(2, [None, {"role": "user", "enable_thinking": False, "input_type": 0, "prompt_input": "Hi"},
                {"mode": 0, "lora_params": None, "prompt_cache_params": None, "keep_history": 0}, None]),
        *BEGIN, tokens("He", [7]), frame(2, "He", 7, NORMAL), tokens("", [8]), frame(2, None, 8, WAITING),
        tokens("llo", [9, 10]), frame(2, None, 9, WAITING), frame(2, "llo", 10, NORMAL),
        *END, frame(2, None, -1, FINISH, perf=PERF),
    ],
    "run_async": [
        "# The acknowledgement first, then the stream with the same id.",
        *CONFIGURE,
        run(3, [None, {"role": "user", "input_type": 1, "token_input": {"input_ids": [1, 2, 3], "n_tokens": 3}},
                {"mode": 0, "keep_history": 0}, None], "rkllm.run_async"),
        answer(3, {"success": True, "message": "-"}),
        *BEGIN, tokens("a", [5]), frame(3, "a", 5, NORMAL),
        request(4, "rkllm.is_running"), answer(4, {"is_running": True, "status_code": 0}),
        *END, frame(3, None, -1, FINISH, perf=PERF),
        request(5, "rkllm.is_running"), answer(5, {"is_running": False, "status_code": -1}),
    ],
    "abort": [
        "# The abort is answered, and the run still gets its last frame, which the ancestor lost.",
        *CONFIGURE, run(2, [None, {"prompt_input": "Hi"}, {"mode": 0}, None]),
        *BEGIN, tokens("a", [5]), frame(2, "a", 5, NORMAL),
        request(3, "rkllm.abort", []),
        answer(3, {"success": True, "message": "-", "status_code": 0, "aborted": 1}),
        frame(2, None, -1, FINISH),
    ],
    "error": [
        "# Errors are in `error`; after the first frame, the last frame has state 3 and says why.",
        *CONFIGURE, run(2, [None, {"prompt_input": "Hi"}, {"mode": 0}, None]), "* lost", error(2, -32006, LOST),
        run(3, [None, {"prompt_input": "Hi"}, {"mode": 0}, None]),
        *BEGIN, tokens("a", [5]), frame(3, "a", 5, NORMAL), "* lost",
        frame(3, None, -1, ERROR, failure={"code": -32006, "message": "-", "data": LOST}),
    ],
    "hidden_states": [
        "# One frame has the whole matrix, as an array of numbers, row after row.",
        *CONFIGURE, run(2, [None, {"prompt_input": "Hi"}, {"mode": 1}, None]),
        *BEGIN, "* rows [1,2,3,4]", "* rows [5,6,7,8.5]",
        *END, frame(2, None, -1, NORMAL, rows=[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.5]]),
        frame(2, None, -1, FINISH, perf=PERF),
    ],
    "generation_c": [
        "# The flat named parameters of the ancestor's last generation.",
        *CONFIGURE,
        request(1, "rkllm.set_chat_template",
                {"template_config": {"system_prompt": "S", "prompt_prefix": "P", "prompt_postfix": "Q"}}),
        answer(1, {"success": True, "message": "-", "system_prompt": "S", "prompt_prefix": "P", "prompt_postfix": "Q"}),
        run(2, {"input_type": 0, "role": "user", "prompt": "Hi", "mode": 0, "keep_history": 0}),
        *BEGIN, tokens("a", [5]), frame(2, "a", 5, NORMAL), *END, frame(2, None, -1, FINISH, perf=PERF),
        request(3, "rkllm.destroy", {}), answer(3, {"success": True, "message": "-"}),
        run(4, {"prompt": "Hi"}), error(4, -32001, {"type": "not_initialised"}),
    ],
}

for name, lines in transcripts.items():
    (FOLDER / f"nano_{name}.txt").write_text("\n".join(lines) + "\n")
