"""A chat in the terminal: each line you write goes to the model, and its answer appears as it is made.

Run: apus serve --ipc /tmp/apus/ipc, and then python3 chat.py /tmp/apus/ipc
"""

import sys

import apus


def main(path):
    messages = []
    with apus.Client(path) as client:
        for line in sys.stdin:
            messages.append({"role": "user", "content": line.strip()})
            answer = ""
            for event in client.generate(messages, maximum_tokens=128, temperature=0):
                if isinstance(event, apus.Tokens):
                    answer += event.text
                    print(event.text, end="", flush=True)
                elif isinstance(event, apus.Finished):
                    seconds = event.timings.decode / 1e9
                    print(f"\n[{event.usage.completion_tokens} tokens, {event.usage.cached_tokens} of the prompt"
                          f" from the cache, {seconds:.2f} s]")
            messages.append({"role": "assistant", "content": answer})


if __name__ == "__main__":
    main(sys.argv[1])
