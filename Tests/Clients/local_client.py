"""Tries a running server with the project's Python client for the local door.

Run: python3 local_client.py SOCKET MODEL [--token TOKEN] [--streams 64] [--trace]
"""

import argparse
import math
import threading
import time

import apus

from checks import Checks, expect

QUESTION = [{"role": "user", "content": "Hello! Who are you?"}]
GREEDY = {"maximum_tokens": 24, "temperature": 0}


def error_of(body):
    try:
        body()
    except apus.ApusError as error:
        return error
    raise AssertionError("no error was raised")


class Suite:
    def __init__(self, arguments):
        self.path, self.token, self.model, self.streams = (
            arguments.path, arguments.token, arguments.model, arguments.streams)
        self.client = apus.Client(self.path, self.token)

    # ---- What works

    def lists_models(self):
        models = self.client.models()
        expect([model.name for model in models] == [self.model], f"the models are {models}")
        expect(models[0].state == "ready" and models[0].context_length > 0, f"the model is {models[0]}")

    def pings(self):
        expect(min(self.client.ping() for _ in range(20)) < 1, "no ping was back within a second")

    def chats_with_events_in_order(self):
        events = list(self.client.generate(QUESTION, model=self.model, request_id="check-1", **GREEDY))
        kinds = [type(event).__name__ for event in events if not isinstance(event, apus.Tokens)]
        expect(kinds == ["Accepted", "Started", "ChoiceFinished", "Finished"], f"the events are {kinds}")
        chunks = [event for event in events if isinstance(event, apus.Tokens)]
        expect(len(chunks) > 3 and "".join(chunk.text for chunk in chunks).strip(), "there is no text")
        end = events[-1]
        expect(0 < end.usage.completion_tokens <= 24, f"usage is {end.usage}")
        expect(end.usage.prompt_tokens == events[0].prompt_tokens, "the prompt has two lengths")
        expect(end.timings.decode > 0 and end.timings.prefill > 0, f"timings are {end.timings}")

    def repeats(self):
        texts = {self.client.text(QUESTION, **GREEDY) for _ in range(3)}
        expect(len(texts) == 1, f"greedy answers differ: {texts}")

    def gives_log_probabilities_and_choices(self):
        request = apus.LogProbabilityOptions(top=3)
        indices, entries = set(), []
        for event in self.client.generate("Swifts sleep", choices=3, maximum_tokens=8, log_probabilities=request, seed=1):
            if isinstance(event, apus.Tokens):
                indices.add(event.choice)
                entries += event.log_probabilities
        expect(indices == {0, 1, 2}, f"the choices are {indices}")
        expect(entries and all(len(entry.top) == 3 for entry in entries), "there are no three likeliest tokens")
        expect(all(entry.chosen.log_probability <= 0 for entry in entries), "a probability is over 1")

    def stops_at_a_string(self):
        whole = self.client.text(QUESTION, **GREEDY)
        word = whole.split()[2]
        text = self.client.text(QUESTION, stop_strings=[word], **GREEDY)
        expect(word not in text and whole.startswith(text), f"'{text}' does not stop before '{word}'")

    def tokenizes_and_back(self):
        ids = self.client.tokenize("Grüße, 世界", add_special=False)
        expect(self.client.detokenize(ids).decode().strip() == "Grüße, 世界", "the text does not come back")
        with_ids = self.client.text(ids, **GREEDY)
        expect(isinstance(with_ids, str), "token ids are no prompt")

    def renders_and_scores(self):
        expect("Who are you?" in self.client.render(QUESTION), "the template loses the message")
        score = self.client.score("Swifts sleep on the wing.")
        expect(score.tokens > 3 and 0 < score.negative_log_likelihood < 20, f"the score is {score}")

    def embeds(self):
        answer = self.client.embed(["Swifts sleep on the wing.", "Swifts sleep on the wing.", "A port."])
        rows = [list(row) for row in answer.vectors]
        expect(len(rows) == 3 and answer.prompt_tokens > 6, f"{len(rows)} rows of {answer.prompt_tokens} tokens")
        expect(all(abs(math.sqrt(sum(x * x for x in row)) - 1) < 1e-3 for row in rows), "a vector is not of length 1")
        expect(rows[0] == rows[1] != rows[2], "equal texts have other vectors, or other texts the same")

    def gives_hidden_states_and_takes_embeddings(self):
        events = list(self.client.generate(
            "Swifts sleep", maximum_tokens=2, temperature=0, tensors=apus.TensorRequest(apus.TensorKind.LOGITS)))
        rows = sum(event.tensor.rows for event in events if isinstance(event, apus.TensorRows))
        expect(rows >= events[0].prompt_tokens, f"{rows} rows of a prompt of {events[0].prompt_tokens}")
        width = self.client.embed("x").vectors.columns
        text = self.client.text(apus.Tensor(3, width, bytes(12 * width)), maximum_tokens=4)
        expect(isinstance(text, str), "embeddings are no prompt")

    def takes_long_requests(self):
        """More than a message may hold in the stream: the text travels as a memory file, also back."""
        text = "All swifts are asleep. " * 20_000
        ids = self.client.tokenize(text, add_special=False)
        expect(len(ids) > 65_536, f"only {len(ids)} tokens")
        expect(self.client.detokenize(ids).decode().strip() == text.strip(), "the text does not come back")

    def streams_many_at_once(self):
        alone = self.client.text(QUESTION, **GREEDY)
        texts = [None] * self.streams

        def run(index):
            texts[index] = self.client.text(QUESTION, **GREEDY)

        threads = [threading.Thread(target=run, args=(index,)) for index in range(self.streams)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect(texts == [alone] * self.streams, f"{sum(text != alone for text in texts)} answers differ")

    def keeps_a_slow_reader_from_slowing_others(self):
        options = apus.LogProbabilityOptions(top=20)
        slow = self.client.generate(
            "Swifts", maximum_tokens=500, ignore_end_of_sequence=True, log_probabilities=options, seed=1)
        next(slow)
        for _ in range(3):
            expect(self.client.text(QUESTION, **GREEDY), "nothing came beside a slow reader")
        events = list(slow)
        expect(events[-1].usage.completion_tokens == 500, f"the slow reader got {events[-1]}")
        size = sum(apus.messages.size_of(event) for event in events)
        expect(size > apus.messages.WINDOW, f"{size} bytes fit the window, so nothing was tried")

    def talks_with_tools(self):
        coin = apus.Tool("coin", "Throws a coin.", {"type": "object", "properties": {}})
        dialogue = apus.Dialogue(self.client, tools=[coin], **GREEDY)
        expect(isinstance(dialogue.answer("Hello!", lambda call: "heads"), str), "no answer")
        expect(isinstance(dialogue.answer("Thanks.", lambda call: "heads"), str), "no second answer")
        expect([message["role"] for message in dialogue.messages][:2] == ["user", "assistant"], "the session is lost")

    def finds_prompts_in_the_cache(self):
        long = [{"role": "user", "content": "Swifts sleep on the wing. " * 20}]
        for _ in range(2):
            end = list(self.client.generate(long, **GREEDY))[-1]
        expect(end.usage.cached_tokens > 32, f"usage is {end.usage}")

    def checks_payloads(self):
        with apus.Client(self.path, self.token, checks_payloads=True) as client:
            expect(client.text(QUESTION, **GREEDY) == self.client.text(QUESTION, **GREEDY), "another answer")

    # ---- What ends early, and what is refused

    def cancels(self):
        running = self.client.generate("Swifts", maximum_tokens=900, ignore_end_of_sequence=True)
        next(running)
        running.cancel()
        expect(error_of(lambda: list(running)).code == "cancelled", "it did not end as cancelled")

    def who_leaves_cancels(self):
        for _ in range(20):
            with self.client.generate("Swifts", maximum_tokens=900, ignore_end_of_sequence=True) as running:
                next(running)
        expect(self.client.text(QUESTION, **GREEDY), "the server is still busy")

    def names_errors(self):
        client = self.client
        error = error_of(lambda: client.text("x", model="nonsense"))
        expect((error.code, error.model) == ("model_not_found", "nonsense"), f"the error is {error!r}")
        error = error_of(lambda: client.text("swift " * 20_000, maximum_tokens=1))
        expect(error.code == "context_length_exceeded" and error.prompt > error.limit, f"the error is {error!r}")
        error = error_of(lambda: client.text([5_000_000], maximum_tokens=1))
        expect(error.code == "invalid_request", f"the error is {error!r}")
        error = error_of(lambda: client.text("x", choices=129))
        expect(isinstance(error, apus.WireError), f"the error is {error!r}")
        deadline = time.monotonic_ns() + 50_000_000
        error = error_of(lambda: client.text("Swifts", ignore_end_of_sequence=True, deadline=deadline))
        expect(error.code == "deadline_exceeded", f"the error is {error!r}")

    def refuses_a_wrong_token(self):
        with apus.Client(self.path, "wrong") as client:
            error = error_of(client.ping)
        expect(isinstance(error, apus.Refused), f"the error is {error!r}")
        expect(error.reason == apus.RefusalReason.TOKEN_WRONG, f"the reason is {error.reason}")

    def connects_many_clients(self):
        clients = [apus.Client(self.path, self.token) for _ in range(50)]
        expect(all(client.models() for client in clients), "a client has no models")
        for client in clients:
            client.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("model")
    parser.add_argument("--token")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--trace", action="store_true")
    arguments = parser.parse_args()
    suite, checks = Suite(arguments), Checks()
    names = [
        "lists_models", "pings", "chats_with_events_in_order", "repeats", "gives_log_probabilities_and_choices",
        "stops_at_a_string", "tokenizes_and_back", "renders_and_scores", "embeds",
        "gives_hidden_states_and_takes_embeddings", "takes_long_requests", "streams_many_at_once",
        "keeps_a_slow_reader_from_slowing_others", "talks_with_tools", "finds_prompts_in_the_cache", "checks_payloads",
        "cancels", "who_leaves_cancels", "names_errors", "connects_many_clients",
    ]
    if arguments.token:
        names.append("refuses_a_wrong_token")
    for name in names:
        checks.run(name.replace("_", " "), getattr(suite, name))
    checks.finish()


if __name__ == "__main__":
    main()
