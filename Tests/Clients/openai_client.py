"""Tries a running server with the official Python client.

Needs openai from PyPI. Run: python3 openai_client.py BASE_URL MODEL [--key KEY] [--streams 64] [--trace]
BASE_URL is the server's address, with or without /v1.
"""

import argparse
import asyncio
import math

import openai

from checks import Checks, expect

QUESTION = [{"role": "user", "content": "Hello! Who are you?"}]


class Suite:
    def __init__(self, arguments):
        url = arguments.url.rstrip("/")
        url = url if url.endswith("/v1") else url + "/v1"
        # Without retries a wrong status shows at once.
        options = {"base_url": url, "api_key": arguments.key, "max_retries": 0, "timeout": 120}
        self.client = openai.OpenAI(**options)
        self.options = options
        self.model = arguments.model
        self.streams = arguments.streams

    # ---- What works

    def lists_models(self):
        models = list(self.client.models.list())
        expect(self.model in [model.id for model in models], f"{self.model} is not in {[m.id for m in models]}")
        expect(all(model.object == "model" and model.owned_by for model in models), "a model lacks a field")

    def retrieves_model(self):
        expect(self.client.models.retrieve(self.model).id == self.model, "another model came back")

    def chats(self):
        answer = self.client.chat.completions.create(
            model=self.model, messages=QUESTION, max_tokens=24, temperature=0)
        expect(answer.object == "chat.completion" and answer.id.startswith("chatcmpl-"), "a field is wrong")
        choice = answer.choices[0]
        expect(choice.index == 0 and choice.message.role == "assistant", "the choice is wrong")
        expect(choice.message.content.strip(), "the answer is empty")
        expect(choice.finish_reason in ("stop", "length"), f"finish_reason is {choice.finish_reason}")
        usage = answer.usage
        expect(usage.prompt_tokens > 0 and 0 < usage.completion_tokens <= 24, f"usage is {usage}")
        expect(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, "the total is wrong")
        return choice.message.content

    def repeats(self):
        expect(self.chats() == self.chats(), "two greedy answers differ")

    def streams_chat(self):
        text, reason, usages, chunks = "", None, [], 0
        stream = self.client.chat.completions.create(
            model=self.model, messages=QUESTION, max_tokens=24, temperature=0, stream=True,
            stream_options={"include_usage": True})
        for chunk in stream:
            chunks += 1
            expect(chunk.object == "chat.completion.chunk", f"the object is {chunk.object}")
            if chunk.usage is not None:
                expect(chunk.choices == [], "the usage chunk has choices")
                usages.append(chunk.usage)
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reason = choice.finish_reason or reason
        expect(chunks > 3, f"only {chunks} chunks came")
        expect(reason in ("stop", "length"), f"finish_reason is {reason}")
        expect(len(usages) == 1 and usages[0].completion_tokens > 0, f"the usages are {usages}")
        expect(text == self.chats(), "the streamed answer is another one")

    def streams_without_usage(self):
        stream = self.client.chat.completions.create(
            model=self.model, messages=QUESTION, max_tokens=4, stream=True)
        expect(all(chunk.usage is None and len(chunk.choices) == 1 for chunk in stream), "a usage came unasked")

    def honours_limit(self):
        for field in ("max_tokens", "max_completion_tokens"):
            answer = self.client.chat.completions.create(model=self.model, messages=QUESTION, **{field: 1})
            expect(answer.usage.completion_tokens == 1, f"{field}: {answer.usage.completion_tokens} tokens came")
            expect(answer.choices[0].finish_reason == "length", f"{field}: {answer.choices[0].finish_reason}")

    def makes_choices(self):
        answer = self.client.chat.completions.create(model=self.model, messages=QUESTION, n=3, max_tokens=4, seed=1)
        expect(sorted(choice.index for choice in answer.choices) == [0, 1, 2], "the choices are not 0, 1, 2")

    def takes_every_parameter(self):
        answer = self.client.chat.completions.create(
            model=self.model, messages=QUESTION, max_tokens=8, temperature=0.7, top_p=0.9, stop=["\n\n", "END"], seed=7,
            presence_penalty=0.1, frequency_penalty=0.1, logit_bias={"5": -1}, user="someone",
            extra_body={"top_k": 20, "min_p": 0.01})
        expect(answer.choices, "no choice came")

    def takes_every_sampler(self):
        answer = self.client.chat.completions.create(
            model=self.model, messages=QUESTION, max_tokens=8, temperature=0.9, seed=7,
            extra_body={
                "typical_p": 0.95, "top_n_sigma": 2, "xtc_probability": 0.5, "xtc_threshold": 0.1, "dry_multiplier": 0.8,
                "dry_base": 1.75, "dry_allowed_length": 2, "dry_penalty_last_n": -1, "dry_sequence_breakers": ["\n"],
                "mirostat": 2, "mirostat_tau": 5, "mirostat_eta": 0.1, "dynatemp_range": 0.2, "dynatemp_exponent": 1})
        expect(answer.choices[0].message.content, "the answer is empty")

    def keeps_least_length(self):
        answer = self.client.chat.completions.create(
            model=self.model, messages=QUESTION, max_tokens=40, extra_body={"min_tokens": 40})
        expect(answer.usage.completion_tokens == 40, f"{answer.usage.completion_tokens} tokens came")

    def tells_log_probabilities(self):
        fields = {"model": self.model, "messages": QUESTION, "max_tokens": 12, "temperature": 0}
        answer = self.client.chat.completions.create(**fields, logprobs=True, top_logprobs=3)
        choice = answer.choices[0]
        content = choice.logprobs.content
        expect(0 < len(content) <= answer.usage.completion_tokens, f"{len(content)} tokens are told")
        expect(b"".join(bytes(token.bytes) for token in content).decode() == choice.message.content, "bytes and text differ")
        for token in content:
            values = [rival.logprob for rival in token.top_logprobs]
            expect(len(values) == 3 and values == sorted(values, reverse=True), f"the rivals are {values}")
            # Greedy takes the first of them.
            expect(token.logprob == values[0] and token.token == token.top_logprobs[0].token, "it is not the likeliest")
            expect(sum(math.exp(value) for value in values) < 1.0001, f"the probabilities exceed 1: {values}")
        streamed = []
        for chunk in self.client.chat.completions.create(**fields, logprobs=True, top_logprobs=3, stream=True):
            for part in chunk.choices:
                streamed += part.logprobs.content if part.logprobs else []
        expect(streamed == content, "the stream tells other log-probabilities")
        bare = self.client.chat.completions.create(**fields, logprobs=True).choices[0].logprobs.content
        expect([token.logprob for token in bare] == [token.logprob for token in content], "the values changed")
        expect(all(token.top_logprobs == [] for token in bare), "rivals came unasked")
        drawn = self.client.chat.completions.create(
            **fields, logprobs=True, top_logprobs=3, extra_body={"post_sampling_probs": True}).choices[0].logprobs.content
        expect(all(token.logprob == 0 and len(token.top_logprobs) == 1 for token in drawn), "greedy is not certain")
        expect(self.client.chat.completions.create(**fields).choices[0].logprobs is None, "they came unasked")

    def tells_log_probabilities_of_completion(self):
        fields = {"model": self.model, "prompt": "Once upon a time", "max_tokens": 8, "temperature": 0, "logprobs": 2}
        choice = self.client.completions.create(**fields).choices[0]
        told = choice.logprobs
        count = len(told.tokens)
        expect(count > 0 and len(told.token_logprobs) == len(told.top_logprobs) == len(told.text_offset) == count, "the lists differ")
        for token, value, rivals, offset in zip(told.tokens, told.token_logprobs, told.top_logprobs, told.text_offset):
            expect(len(rivals) <= 3 and rivals[token] == value == max(rivals.values()), f"{token!r} is not in {rivals}")
            expect(token.startswith("bytes:") or choice.text[offset:].startswith(token), f"{token!r} is not at {offset}")
        offsets = []
        for chunk in self.client.completions.create(**fields, stream=True):
            for part in chunk.choices:
                offsets += part.logprobs.text_offset if part.logprobs else []
        expect(offsets == told.text_offset, f"the stream's offsets are {offsets}, not {told.text_offset}")

    def repeats_seed(self):
        def sample(seed):
            return self.client.chat.completions.create(
                model=self.model, messages=QUESTION, max_tokens=16, temperature=1, seed=seed).choices[0].message.content

        expect(sample(11) == sample(11), "the same seed gave two answers")

    def completes(self):
        answer = self.client.completions.create(model=self.model, prompt="Once upon a time", max_tokens=8, temperature=0)
        expect(answer.object == "text_completion" and answer.id.startswith("cmpl-"), "a field is wrong")
        expect(answer.choices[0].text and 0 < answer.usage.completion_tokens <= 8, "the completion is wrong")
        default = self.client.completions.create(model=self.model, prompt="Once upon a time")
        expect(default.usage.completion_tokens <= 16, "without max_tokens more than 16 tokens came")

    def completes_list(self):
        answer = self.client.completions.create(model=self.model, prompt=["One", "Two"], max_tokens=4)
        expect(sorted(choice.index for choice in answer.choices) == [0, 1], "the choices are not 0, 1")

    def completes_ids(self):
        answer = self.client.completions.create(model=self.model, prompt=[5, 6, 7], max_tokens=4)
        expect(len(answer.choices) == 1, "token ids gave several choices")
        several = self.client.completions.create(model=self.model, prompt=[[5, 6], [7]], max_tokens=4)
        expect(len(several.choices) == 2, "two lists of token ids gave not two choices")

    def streams_completion(self):
        stream = self.client.completions.create(
            model=self.model, prompt="Once upon a time", max_tokens=8, temperature=0, stream=True)
        pieces = [choice.text for chunk in stream for choice in chunk.choices]
        expect("".join(pieces).strip(), "the completion is empty")

    def leaves_stream(self):
        stream = self.client.chat.completions.create(model=self.model, messages=QUESTION, stream=True)
        next(iter(stream))
        stream.close()
        self.chats()

    def serves_many(self):
        async def one(client, index):
            text, done = "", False
            stream = await client.chat.completions.create(
                model=self.model, messages=[{"role": "user", "content": f"Hello number {index}!"}], max_tokens=16,
                stream=True)
            async for chunk in stream:
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    done = done or choice.finish_reason is not None
            expect(done, f"stream {index} has no finish_reason")
            return text

        async def all_of_them():
            async with openai.AsyncOpenAI(**self.options) as client:
                return await asyncio.gather(*(one(client, i) for i in range(self.streams)), return_exceptions=True)

        results = asyncio.run(all_of_them())
        errors = [result for result in results if isinstance(result, BaseException)]
        expect(not errors, f"{len(errors)} of {self.streams} failed, the first with {errors[:1]}")

    # ---- What is refused, and how

    def refuses(self, kind, code=None, param=None, *, path="chat", **fields):
        """Expects an error of one type, with the envelope's code and param where they are given."""
        base = {"model": self.model, "max_tokens": 4}
        if path == "chat":
            base["messages"] = QUESTION
            call = self.client.chat.completions.create
        else:
            base["prompt"] = "Hello"
            call = self.client.completions.create
        # Through extra_body the client sends what it would not let pass.
        extra = {name: fields.pop(name) for name in list(fields) if name not in ("model", "messages", "prompt")}
        try:
            call(**(base | fields), extra_body=extra)
        except openai.APIStatusError as error:
            expect(type(error) is kind, f"{type(error).__name__} came: {error}")
            body = error.body if isinstance(error.body, dict) else {}
            expect({"message", "type", "param", "code"} <= set(body), f"the envelope has {sorted(body)}")
            expect(code is None or error.code == code, f"the code is {error.code}: {error}")
            expect(param is None or (error.param or "").split("[")[0].split(".")[0] == param, f"the param is {error.param}: {error}")
            return error
        raise AssertionError("it was accepted")

    def refuses_length(self):
        words = [{"role": "user", "content": "word " * 300_000}]
        error = self.refuses(openai.BadRequestError, "context_length_exceeded", messages=words)
        expect(sum(part.isdigit() for part in error.body["message"].replace(",", " ").split()) >= 2, "it does not name both numbers")
        self.refuses(openai.BadRequestError, "context_length_exceeded", max_tokens=100_000_000)

    def refuses_unknown_path(self):
        try:
            self.client.get("/no-such-path", cast_to=object)
        except openai.NotFoundError as error:
            expect(isinstance(error.body, dict) and error.body.get("message"), "the envelope is missing")
            return
        raise AssertionError("it was accepted")

    def survives_refusals(self):
        self.chats()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("--key", default="none")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--trace", action="store_true")
    suite = Suite(parser.parse_args())
    checks = Checks()
    bad = openai.BadRequestError
    for name, body in [
        ("models are listed", suite.lists_models),
        ("a model is retrieved", suite.retrieves_model),
        ("a chat is answered", suite.chats),
        ("a greedy answer repeats", suite.repeats),
        ("a chat streams, with one usage chunk", suite.streams_chat),
        ("a chat streams without usage when it is not asked for", suite.streams_without_usage),
        ("both token limits are kept", suite.honours_limit),
        ("several choices are made", suite.makes_choices),
        ("every documented parameter is taken", suite.takes_every_parameter),
        ("every sampler's fields are taken", suite.takes_every_sampler),
        ("an answer has its least length", suite.keeps_least_length),
        ("log-probabilities of a chat are told", suite.tells_log_probabilities),
        ("log-probabilities of a completion are told", suite.tells_log_probabilities_of_completion),
        ("a seeded answer repeats", suite.repeats_seed),
        ("a text is completed", suite.completes),
        ("a list of texts is completed", suite.completes_list),
        ("token ids are completed", suite.completes_ids),
        ("a completion streams", suite.streams_completion),
        ("a stream can be left", suite.leaves_stream),
        (f"{suite.streams} streams at once", suite.serves_many),
        ("a wrong type is refused", lambda: suite.refuses(bad, param="temperature", temperature="hot")),
        ("a temperature out of range is refused", lambda: suite.refuses(bad, param="temperature", temperature=2.5)),
        ("a negative top_p is refused", lambda: suite.refuses(bad, param="top_p", top_p=-0.1)),
        ("a penalty out of range is refused", lambda: suite.refuses(bad, param="presence_penalty", presence_penalty=3)),
        ("too many log-probabilities are refused", lambda: suite.refuses(bad, param="top_logprobs", logprobs=True, top_logprobs=21)),
        ("rivals without log-probabilities are refused", lambda: suite.refuses(bad, param="top_logprobs", top_logprobs=2)),
        ("a sampler's value out of range is refused", lambda: suite.refuses(bad, param="typical_p", typical_p=2)),
        ("a stop token outside the vocabulary is refused", lambda: suite.refuses(bad, param="stop_token_ids", stop_token_ids=[2**30])),
        ("max_tokens of zero is refused", lambda: suite.refuses(bad, param="max_tokens", max_tokens=0)),
        ("an unknown model is not found", lambda: suite.refuses(openai.NotFoundError, "model_not_found", model="no-such-model")),
        ("an unknown model is not found for completions", lambda: suite.refuses(openai.NotFoundError, "model_not_found", path="text", model="no-such-model")),
        ("a context that is too long is refused", suite.refuses_length),
        ("empty messages are refused", lambda: suite.refuses(bad, param="messages", messages=[])),
        ("an unknown parameter is refused", lambda: suite.refuses(bad, param="no_such_parameter", no_such_parameter=1)),
        ("a wrong stop is refused", lambda: suite.refuses(bad, param="stop", stop=5)),
        ("more than four stops are refused", lambda: suite.refuses(bad, param="stop", stop=["a", "b", "c", "d", "e"])),
        ("an unknown path is not found", suite.refuses_unknown_path),
        ("the server answers after all that", suite.survives_refusals),
    ]:
        checks.run(name, body)
    checks.finish()


main()
