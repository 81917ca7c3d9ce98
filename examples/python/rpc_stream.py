"""A run over the JSON-RPC door, whose answer comes in parts, and the figures at its end.

Run: apus serve --rpc /tmp/apus/rpc, and then python3 rpc_stream.py /tmp/apus/rpc ["A prompt"]
"""

import sys

from apus.rpc import RPCClient


def main(path, prompt="Hello! Who are you?"):
    with RPCClient(path) as client:
        stream = client.stream("rkllm.run", {"prompt": prompt, "max_new_tokens": 64})
        for part in stream:
            print(part["result"]["text"] or "", end="", flush=True)
        answer = stream.response
        print(f"\n[{answer['finish_reason']}, {answer['perf']['generate_tokens']} tokens,"
              f" {answer['timing']['total_ms']:.0f} ms]")


if __name__ == "__main__":
    main(*sys.argv[1:])
