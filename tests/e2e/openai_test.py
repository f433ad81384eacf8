#!/usr/bin/env python3
"""OpenAI's own Python package as the client of a real node.

Usage: openai_test.py LLMOS MAKE_TINY_MODEL EXAMPLE_MODULE

tools/test puts the package into build/venv; this runs there. Without it every case is skipped.
"""
import asyncio
import os
import pathlib
import signal
import ssl
import sys
import unittest
from concurrent import futures

VENV = pathlib.Path(sys.argv[1]).resolve().parent / "venv"
if (VENV / "bin/python3").exists() and pathlib.Path(sys.prefix).resolve() != VENV:
    os.execv(VENV / "bin/python3", [str(VENV / "bin/python3"), *sys.argv])
try:
    import openai
except ImportError:
    openai = None

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import script_test  # noqa: E402
from cli_test import TIMEOUT_S  # noqa: E402
from serving import (HOST, LETTERS, LONG, VERY_LONG, ServeCase, only,  # noqa: E402
                     wait_until)

os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"  # the node is here
NOT_OPENAIS = ("priority", "top_k", "min_p", "ignore_eos", "stop_token_ids")
TOOL = {"type": "function",
        "function": {"name": "weather", "description": "The weather of a city",
                     "parameters": {"type": "object",
                                    "properties": {"city": {"type": "string"}}}}}


def asked(**fields):
    """As the package takes them: what is not OpenAI's goes into extra_body."""
    extra = {name: fields.pop(name) for name in NOT_OPENAIS if name in fields}
    return {"model": "tiny", **fields, "extra_body": extra}


def chat(prompt="hi", **fields):
    return asked(messages=[{"role": "user", "content": prompt}], **fields)


def text(prompt="hi", **fields):
    return asked(prompt=prompt, **fields)


def whole(stream):
    """The text of choice 0 of a streamed chat."""
    return "".join(c.delta.content or "" for e in stream for c in e.choices if c.index == 0)


@unittest.skipIf(openai is None, "the package openai is not installed: tools/test does it")
class OpenaiCase(ServeCase):
    NODE = {}

    def setUp(self):
        super().setUp()
        self.node = self.serve(*self.set(**self.NODE))
        self.client = self.connect(self.node)
        self.chats, self.texts = self.client.chat.completions, self.client.completions

    def connect(self, node, scheme="http", **options):
        """Never tries twice, so that each error is seen."""
        at = f"{scheme}://{HOST}:{node.ports['http']}/v1"
        client = openai.OpenAI(**{"base_url": at, "api_key": self.key, "max_retries": 0,
                                  "timeout": TIMEOUT_S, **options})
        self.addCleanup(client.close)
        return client

    def fails(self, kind, status, code, ask, **options):
        """The package's own class for it, with all that the body says."""
        with self.assertRaises(kind) as raised:
            ask(**options)
        e = raised.exception
        self.assertIs(type(e), kind)
        self.assertEqual((e.status_code, e.code), (status, code))
        self.assertTrue(e.message)
        return e


class Answers(OpenaiCase):
    def test_models_are_listed_and_retrieved(self):
        self.assertEqual([m.id for m in self.client.models.list()], ["tiny"])
        model = self.client.models.retrieve("tiny")
        self.assertEqual((model.id, model.object, model.owned_by), ("tiny", "model", "llmos"))

    def test_a_chat(self):
        got = self.chats.create(**chat(**LETTERS, max_tokens=9, seed=3))
        self.assertEqual((got.object, got.model), ("chat.completion", "tiny"))
        self.assertRegex(got.id, r"^chatcmpl-")
        self.assertEqual(got._request_id, got.id)
        choice = got.choices[0]
        self.assertRegex(choice.message.content, r"^[a-h]{9}$")
        self.assertEqual((choice.index, choice.finish_reason, choice.message.role),
                         (0, "length", "assistant"))
        self.assertIsNone(choice.message.tool_calls)
        self.assertEqual(got.usage.completion_tokens, 9)
        self.assertEqual(got.usage.total_tokens, got.usage.prompt_tokens + 9)
        again = self.chats.create(**chat(**LETTERS, max_completion_tokens=9, seed=3))
        self.assertEqual(again.choices[0].message.content, choice.message.content)
        self.assertEqual(again.usage.prompt_tokens_details.cached_tokens, 16)

    def test_a_chat_that_is_streamed(self):
        how = chat(**LETTERS, max_tokens=20, seed=3)
        answer = self.chats.create(**how)
        events = list(self.chats.create(**how, stream=True,
                                        stream_options={"include_usage": True}))
        self.assertEqual(whole(events), answer.choices[0].message.content)
        self.assertEqual(events[0].choices[0].delta.role, "assistant")
        self.assertEqual(events[-2].choices[0].finish_reason, "length")
        self.assertEqual((events[-1].choices, events[-1].usage.completion_tokens), ([], 20))
        self.assertEqual({e.usage for e in events[:-1]}, {None})
        without = list(self.chats.create(**how, stream=True))
        self.assertEqual((whole(without), without[-1].usage), (whole(events), None))

    def test_the_packages_own_collector_of_a_stream(self):
        how = chat(**LETTERS, max_tokens=20, seed=3)
        with self.chats.stream(**how, n=2) as stream:
            for _ in stream:
                pass
            got = stream.current_completion_snapshot
        self.assertEqual([c.message.content for c in got.choices],
                         [c.message.content for c in self.chats.create(**how, n=2).choices])

    def test_n_stop_seed_and_bias(self):
        how = chat(**LETTERS, max_tokens=30, seed=5)
        several = [c.message.content for c in self.chats.create(**how, n=3).choices]
        self.assertEqual(len(set(several)), 3)
        self.assertEqual(self.chats.create(**{**how, "seed": 7}).choices[0].message.content,
                         several[2])
        stop = several[0][10:13]
        cut = self.chats.create(**how, stop=[stop]).choices[0]
        self.assertEqual((cut.message.content, cut.finish_reason),
                         (several[0][:several[0].index(stop)], "stop"))
        forced = self.chats.create(**chat(logit_bias=only("Q"), max_tokens=6))
        self.assertEqual(forced.choices[0].message.content, "QQQQQQ")

    def test_log_probabilities(self):
        how = {**LETTERS, "max_tokens": 6, "seed": 1}
        choice = self.chats.create(**chat(**how, logprobs=True, top_logprobs=3)).choices[0]
        content = choice.logprobs.content
        self.assertEqual("".join(x.token for x in content), choice.message.content)
        self.assertEqual([x.bytes for x in content], [list(x.token.encode()) for x in content])
        self.assertEqual([len(x.top_logprobs) for x in content], [3] * 6)
        of_text = self.texts.create(**text(**how, logprobs=2)).choices[0]
        self.assertEqual("".join(of_text.logprobs.tokens), of_text.text)
        self.assertEqual(of_text.logprobs.text_offset, list(range(6)))
        self.assertEqual([len(x) in (2, 3) for x in of_text.logprobs.top_logprobs], [True] * 6)

    def test_a_text_whole_and_streamed(self):
        how = text(["hi", "you"], **LETTERS, max_tokens=20, seed=3)
        got = self.texts.create(**how)
        self.assertEqual([(c.index, c.finish_reason) for c in got.choices],
                         [(0, "length"), (1, "length")])
        self.assertEqual((got.usage.prompt_tokens, got.usage.completion_tokens), (5, 40))
        streamed = ["", ""]
        for event in self.texts.create(**how, stream=True):
            streamed[event.choices[0].index] += event.choices[0].text
        self.assertEqual(streamed, [c.text for c in got.choices])

    def test_tools_that_are_not_called(self):
        how = {"max_tokens": 9, "seed": 1}
        plain = self.chats.create(**chat(**LETTERS, **how)).choices[0].message.content
        for choice in ("none", "auto"):
            with self.subTest(choice):
                got = self.chats.create(**chat(**LETTERS, **how, tools=[TOOL], tool_choice=choice))
                self.assertIsNone(got.choices[0].message.tool_calls)
                self.assertEqual(got.choices[0].finish_reason, "length")
                if choice == "none":
                    self.assertEqual(got.choices[0].message.content, plain)
        e = self.fails(openai.InternalServerError, 500, "no_tool_call", self.chats.create,
                       **chat(**LETTERS, **how, tools=[TOOL], tool_choice="required"))
        self.assertEqual(e.param, "tool_choice")

    def test_a_chat_with_calls_and_their_results_goes_on(self):
        call = {"id": "call_1", "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
        got = self.chats.create(**asked(max_tokens=3, tools=[TOOL], messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is it like?"}]},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}]))
        self.assertLessEqual(got.usage.completion_tokens, 3)

    def test_https_with_the_ca_that_init_made(self):
        trust = ssl.create_default_context(cafile=self.identity / "ca.crt")
        node = self.serve(*self.set(http_tls=True))
        client = self.connect(node, "https",
                              http_client=openai.DefaultHttpxClient(verify=trust))
        self.assertEqual([m.id for m in client.models.list()], ["tiny"])
        streamed = client.chat.completions.create(**chat(**LETTERS, max_tokens=9, seed=3),
                                                  stream=True)
        alone = self.chats.create(**chat(**LETTERS, max_tokens=9, seed=3))
        self.assertEqual(whole(streamed), alone.choices[0].message.content)
        with self.assertRaises(openai.APIConnectionError):
            self.connect(node, "https").models.list()


class Errors(OpenaiCase):
    def test_a_key_that_is_none(self):
        for key in ("sk-llmos-" + "A" * 43, "x"):
            self.fails(openai.AuthenticationError, 401, "invalid_api_key",
                       self.connect(self.node, api_key=key).models.list)

    def test_what_is_not_there(self):
        for ask, options in ((self.client.models.retrieve, {"model": "nope"}),
                             (self.chats.create, {**chat(), "model": "nope"}),
                             (self.texts.create, {**text(), "model": "nope"})):
            e = self.fails(openai.NotFoundError, 404, "model_not_found", ask, **options)
            self.assertIn("nope", e.message)
        self.fails(openai.NotFoundError, 404, "not_found", self.client.embeddings.create,
                   model="tiny", input="x")
        self.fails(openai.NotFoundError, 404, "not_found", self.client.responses.create,
                   model="tiny", input="x")

    def test_a_bad_request_names_its_field(self):
        for param, code, ask, options in (
                ("echo", "unsupported", self.texts.create, text(echo=True)),
                ("suffix", "unsupported", self.texts.create, text(suffix="x")),
                ("best_of", "unsupported", self.texts.create, text(best_of=2)),
                ("n", "invalid_value", self.texts.create, text(n=0)),
                ("temperature", "invalid_value", self.chats.create, chat(temperature=-1)),
                ("messages", "invalid_value", self.chats.create, asked(messages=[])),
                ("stop", "invalid_value", self.chats.create, chat(stop=[""])),
                ("response_format", "unsupported", self.chats.create,
                 chat(response_format={"type": "json_object"})),
                ("logit_bias", "invalid_value", self.chats.create,
                 chat(logit_bias={"99999": 1})),
                ("store", "unsupported", self.chats.create, chat(store=True)),
                ("top_logprobs", "invalid_value", self.chats.create, chat(top_logprobs=1)),
                ("temprature", "unknown_field", self.chats.create,
                 {**chat(), "extra_body": {"temprature": 1}})):
            for how in ({}, {"stream": True}):
                with self.subTest(param, **how):
                    e = self.fails(openai.BadRequestError, 400, code, ask, **options, **how)
                    self.assertEqual((e.param, e.type), (param, "invalid_request_error"))
                    self.assertIn(param, e.message)

    def test_a_prompt_that_is_too_long(self):
        e = self.fails(openai.BadRequestError, 400, "context_length_exceeded", self.texts.create,
                       **text("x" * 5000))
        self.assertIn("4096", e.message)
        self.assertEqual(e.param, "prompt")

    def test_metrics_are_for_operators(self):
        key = self.ok("key", "add", "billing").text.strip()
        node = self.serve()
        client = self.connect(node, api_key=key, base_url=f"http://{HOST}:{node.ports['http']}")
        self.fails(openai.PermissionDeniedError, 403, "forbidden", client.get, path="/metrics",
                   cast_to=str)

    def test_who_is_no_operator_gives_way_and_does_not_push(self):
        key = self.ok("key", "add", "billing").text.strip()
        client = self.connect(self.serve(), api_key=key)
        e = self.fails(openai.PermissionDeniedError, 403, "forbidden",
                       client.chat.completions.create, **chat(priority=-1))
        self.assertIn("priority", e.message)
        client.chat.completions.create(**chat(priority=5))

    def test_a_node_that_is_full(self):
        client = self.connect(self.serve(*self.set(kernel_max_processes=128)))
        with client.completions.create(**asked(**VERY_LONG), stream=True) as stream:
            next(iter(stream))
            e = self.fails(openai.RateLimitError, 429, "overloaded",
                           client.chat.completions.create, **chat())
            self.assertGreaterEqual(int(e.response.headers["Retry-After"]), 1)

    def test_the_package_tries_again_as_it_is_told(self):
        node = self.serve(*self.set(kernel_max_processes=128))
        patient = self.connect(node, max_retries=100)
        stream = self.connect(node).completions.create(**asked(**VERY_LONG), stream=True)
        next(iter(stream))
        with futures.ThreadPoolExecutor() as beside:
            answer = beside.submit(patient.chat.completions.with_raw_response.create,
                                   **chat(max_tokens=1))
            wait_until(lambda: node.metric("llmos_requests_refused_total") > 0, "it is refused")
            stream.close()  # which frees the places
            self.assertGreaterEqual(answer.result(TIMEOUT_S).retries_taken, 1)

    def test_a_body_that_is_too_large(self):
        client = self.connect(self.serve(*self.set(http_max_body_bytes=1024)))
        self.fails(openai.APIStatusError, 413, None, client.completions.create,
                   **text("x" * 2000))

    def test_a_request_that_takes_too_long(self):
        client = self.connect(self.serve(*self.set(kernel_deadline_ms=300)))
        self.fails(openai.APIStatusError, 408, "deadline_exceeded",
                   client.chat.completions.create, **chat(**LONG))
        with self.assertRaises(openai.APIError) as raised:
            for _ in client.chat.completions.create(**chat(**LONG), stream=True):
                pass
        self.assertEqual(raised.exception.code, "deadline_exceeded")

    def test_a_node_that_drains(self):
        with self.texts.create(**asked(**VERY_LONG), stream=True) as stream:
            next(iter(stream))
            self.node.signal(signal.SIGTERM)
            wait_until(lambda: self.node.get("/readyz").status == 503, "the node drains")
            e = self.fails(openai.InternalServerError, 503, "shutting_down", self.chats.create,
                           **chat())
            self.assertGreaterEqual(int(e.response.headers["Retry-After"]), 1)
        self.assertEqual(self.node.wait(), 0)


class Cancels(OpenaiCase):
    def test_a_stream_that_is_closed(self):
        for ask, how in ((self.chats.create, chat(**LONG)), (self.texts.create, text(**LONG))):
            stream = ask(**how, stream=True)
            next(iter(stream))
            self.assertGreater(self.node.metric("llmos_requests_running"), 0)
            stream.close()
            self.node.wait_until_idle()
        self.assertEqual(self.node.metric("llmos_requests_total", outcome="length"), 0)

    def test_a_client_that_does_not_wait(self):
        impatient = self.connect(self.node, timeout=0.2)
        with self.assertRaises(openai.APITimeoutError):
            impatient.chat.completions.create(**chat(**LONG))
        self.node.wait_until_idle()
        self.assertEqual(self.chats.create(**chat(max_tokens=1)).usage.completion_tokens, 1)

    def test_by_the_id_of_the_answer(self):
        stream = self.chats.create(**chat(**LONG), stream=True)
        name = next(iter(stream)).id
        got = self.client.delete(f"/requests/{name}", cast_to=object)
        self.assertEqual(got, {"id": name, "cancelled": True})
        reasons = [c.finish_reason for e in stream for c in e.choices if c.finish_reason]
        self.assertEqual(reasons, ["abort"] * 16)
        self.node.wait_until_idle()
        self.fails(openai.NotFoundError, 404, "not_found", self.client.delete,
                   path=f"/requests/{name}", cast_to=object)


class Together(OpenaiCase):
    def setUp(self):
        super().setUp()
        self.base = f"http://{HOST}:{self.node.ports['http']}/v1"

    def run_async(self, work):
        async def whole_of_it():
            async with openai.AsyncOpenAI(base_url=self.base, api_key=self.key, max_retries=0,
                                          timeout=TIMEOUT_S) as client:
                return await work(client)
        return asyncio.run(whole_of_it())

    def test_sixteen_streams_each_get_what_they_get_alone(self):
        alone = [self.chats.create(**chat(**LETTERS, max_tokens=60, seed=i)).choices[0]
                 .message.content for i in range(16)]

        async def one(client, i):
            stream = await client.chat.completions.create(
                **chat(**LETTERS, max_tokens=60, seed=i), stream=True)
            return "".join([e.choices[0].delta.content or "" async for e in stream])

        async def all_of_them(client):
            return await asyncio.gather(*(one(client, i) for i in range(16)))
        self.assertEqual(self.run_async(all_of_them), alone)

    def test_half_of_them_go_away_and_the_others_are_whole(self):
        async def one(client, i):
            stream = await client.chat.completions.create(
                **chat(**LETTERS, max_tokens=2000, ignore_eos=True, seed=i), stream=True)
            count = 0
            async for event in stream:
                count += len(event.choices[0].delta.content or "")
                if i % 2 and count:
                    await stream.close()
                    break
            return count

        async def all_of_them(client):
            return await asyncio.gather(*(one(client, i) for i in range(16)))
        counts = self.run_async(all_of_them)
        self.assertEqual(counts[::2], [2000] * 8)
        self.node.wait_until_idle()

    def test_a_task_that_is_cancelled(self):
        async def begun_and_cancelled(client):
            task = asyncio.create_task(client.chat.completions.create(**chat(**LONG)))
            await asyncio.to_thread(wait_until, lambda: self.node.metric(
                "llmos_requests_running") > 0, "it runs")
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
        self.run_async(begun_and_cancelled)
        self.node.wait_until_idle()


if __name__ == "__main__":
    if openai is None:  # tools/test shows such lines
        print("[skipped] openai_test.py: the package openai is not installed", flush=True)
    script_test.main()
