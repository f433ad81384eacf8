#!/usr/bin/env python3
"""The example services of tools/examples against a real node: what they write and how they end.

Usage: examples_test.py LLMOS MAKE_TINY_MODEL EXAMPLE_MODULE SERVICE…

With the tiny model, whose weights are random, the mechanics; what needs a model that understands
is skipped where the default model is missing.
"""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import script_test  # noqa: E402
from cli_test import TIMEOUT_S, map_path  # noqa: E402
from default_model import model_path, needs_model  # noqa: E402
from serving import HOST, ServeCase  # noqa: E402

SERVICES = {pathlib.Path(p).name: str(pathlib.Path(p).resolve()) for p in sys.argv[4:]}
SOURCES = script_test.ROOT / "tools/examples"
CATALOGUE = json.loads((SOURCES / "recommender/catalogue.json").read_text())
CATEGORIES = list(dict.fromkeys(x["category"] for x in CATALOGUE))
LABELS = ["positive", "negative", "neutral"]


class ServiceCase(ServeCase):
    """A node, and a service that uses it."""

    node_settings = []
    service = ""

    def setUp(self):
        super().setUp()
        self.node = self.serve(*self.node_settings, ports=["remote", "http"])

    def use(self, *arguments, stdin="", status=0):
        """The events of a run that ends with this status, and what it said on standard error."""
        run = subprocess.run(
            [SERVICES[self.service], "--connect", f"{HOST}:{self.node.ports['remote']}",
             *map_path(arguments)],
            input=stdin if isinstance(stdin, bytes) else stdin.encode(), capture_output=True,
            cwd=self.here, env=self.env, timeout=TIMEOUT_S, check=False)
        errors = run.stderr.decode()
        self.assertEqual(run.returncode, status, errors)
        return [json.loads(line) for line in run.stdout.splitlines()], errors

    def fails(self, status, text, *arguments, stdin=""):
        """It says what is wrong and how to mend it, and writes nothing."""
        events, errors = self.use(*arguments, stdin=stdin, status=status)
        self.assertEqual(events, [])
        self.assertTrue(errors.startswith("error: "), errors)
        self.assertIn(text, errors)
        self.assertIn("\nhint: ", errors)


class Connecting(ServiceCase):
    service = "sentiment"

    def run_at(self, *arguments):
        run = subprocess.run([SERVICES["sentiment"], *map_path(arguments)], cwd=self.here,
                             env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                             timeout=TIMEOUT_S, check=False)
        return run.returncode, run.stderr.decode()

    def test_what_is_wrong_is_said(self):
        port = self.node.ports["remote"]
        self.fails(2, "--wrong", "--wrong")
        self.fails(3, "elsewhere/client-client.crt", "--identity", "elsewhere")
        self.fails(3, "client-ann.crt", "--client", "ann")
        self.fails(3, "'huge'", "--model", "huge", stdin="Shares rise\n")
        status, errors = self.run_at("--connect", "nowhere")
        self.assertEqual(status, 2)
        self.assertIn('"nowhere" is no HOST:PORT', errors)
        self.assertEqual(self.node.stop(), 0)
        status, errors = self.run_at("--connect", f"{HOST}:{port}")
        self.assertEqual(status, 3)
        self.assertIn(str(port), errors)

    def test_help_is_there(self):
        for name in SERVICES:
            with self.subTest(name):
                self.service = name
                run = subprocess.run([SERVICES[name], "--help"], capture_output=True, check=True)
                self.assertIn(b"--connect HOST:PORT", run.stdout)


class Sentiment(ServiceCase):
    service = "sentiment"

    def test_each_headline_gets_a_label_and_probabilities(self):
        lines = 'Shares rise\n\n{"headline": "Shares\\nfall", "time": "12:01"}\n'
        events, errors = self.use(stdin=lines)
        self.assertEqual(errors, "")
        self.assertEqual([e["headline"] for e in events], ["Shares rise", "Shares fall"])
        self.assertEqual([e.get("time") for e in events], [None, "12:01"])
        for number, e in enumerate(events, 1):
            self.assertEqual(e["number"], number)
            self.assertEqual(list(e["probabilities"]), LABELS)
            self.assertAlmostEqual(sum(e["probabilities"].values()), 1, delta=0.001)
            self.assertEqual(e["label"], max(LABELS, key=e["probabilities"].get))

    def test_it_says_the_same_again(self):
        lines = "Shares rise\nShares fall\nShares rise\n"
        first, again = self.use(stdin=lines)[0], self.use(stdin=lines)[0]
        self.assertEqual(first, again)
        self.assertEqual(first[0]["probabilities"], first[2]["probabilities"])

    def test_a_line_that_cannot_be_read_is_left_out(self):
        lines = b"Shares rise\n\xff\n{\"title\": 1}\n" + 5000 * b"x" + b"\nShares fall\n"
        events, errors = self.use(stdin=lines, status=1)
        self.assertEqual([e["headline"] for e in events], ["Shares rise", "Shares fall"])
        self.assertIn("error: line 2 is no UTF-8\n", errors)
        self.assertIn('error: line 3 has no text "headline"\n', errors)
        self.assertEqual(errors.count("error: "), 3)

    def test_options_have_ranges(self):
        self.fails(2, "--window", "--window", 0)
        self.fails(2, "--threshold", "--threshold", -1)


GOOD_NEWS = [
    "Acme shares soar 20% after record quarterly profit",
    "Profit rises as demand for chips surges",
    "Company raises full-year outlook on strong sales",
    "Stocks rally to all-time high on upbeat jobs data",
    "Retailer beats expectations and raises dividend",
    "Bank wins approval for merger, shares jump",
    "Carmaker posts best quarter in its history",
    "Startup secures major contract, revenue doubles",
    "Drugmaker jumps after trial success",
    "Exports grow faster than expected",
    "Airline orders surge as travel recovers",
    "Brewer hikes dividend on robust sales",
]
BAD_NEWS = [
    "Shares plunge after profit warning",
    "Company files for bankruptcy as debts mount",
    "Bank posts heavy losses and cuts 5,000 jobs",
    "Stocks tumble on fears of recession",
    "Regulator fines insurer for fraud",
    "Retailer misses expectations and slashes dividend",
    "Factory closes as demand collapses",
    "Credit rating downgraded to junk",
    "Investors flee as currency collapses",
    "Tech giant lays off 10,000 workers",
    "Inflation surges, squeezing consumers",
    "Hedge fund suffers record losses",
]
NO_NEWS = [
    "Company to hold annual meeting on May 12",
    "Bank names new head of human resources",
    "Firm to publish quarterly report on Thursday",
    "Shares unchanged in quiet trading",
    "Central bank leaves rates unchanged, as expected",
    "Board appoints auditor for another year",
    "Exchange announces trading hours for the holidays",
    "Committee schedules hearing for June",
    "Company moves listing to another exchange",
    "Finance chief to speak at conference",
    "Statistics office to revise its survey",
    "Retailer opens new office in Madrid",
]


class WithModel(ServiceCase):
    node_settings = ["--set", f"models.default_model={model_path()}"]


@needs_model
class SentimentOfTheDefaultModel(WithModel):
    service = "sentiment"

    def test_most_labels_are_right(self):
        for label, headlines in zip(LABELS, (GOOD_NEWS, BAD_NEWS, NO_NEWS)):
            events, _ = self.use("--threshold", 2, stdin="\n".join(headlines))
            right = [e["label"] for e in events].count(label)
            self.assertGreaterEqual(right, 9, [(e["headline"], e["label"]) for e in events])

    def test_a_shift_of_the_mood_alerts_once(self):
        for first, then, how in ((GOOD_NEWS, BAD_NEWS, "falling"), (BAD_NEWS, GOOD_NEWS, "rising")):
            with self.subTest(how):
                events, _ = self.use("--window", 6, stdin="\n".join(first + then))
                alerts = [e for e in events if "alert" in e]
                self.assertEqual([e["alert"] for e in alerts], [how], events)
                self.assertGreater(alerts[0]["number"], len(first))


def answers_of(events, customer):
    return [e["answer"] for e in events if e.get("customer") == customer and "answer" in e]


class Assistant(ServiceCase):
    service = "assistant"
    WISH = "Let me speak to a human"

    def talk(self, *lines, unsure=-100, arguments=(), status=0):
        return self.use("--max-tokens", 12, "--unsure", unsure, *arguments,
                        stdin="\n".join(lines), status=status)

    def test_customers_at_once_get_what_each_gets_alone(self):
        texts = {c: [f"{c} asks {i}" for i in range(3)] for c in "abcdefgh"}
        together, _ = self.talk(*(f"{c}: {texts[c][i]}" for i in range(3) for c in texts))
        for c in texts:
            alone, _ = self.talk(*(json.dumps({"customer": c, "text": x}) for x in texts[c]))
            self.assertEqual(len(answers_of(alone, c)), 3)
            self.assertEqual(answers_of(together, c), answers_of(alone, c))

    def test_an_answer_is_streamed(self):
        events, _ = self.talk("ann: hello")
        parts = "".join(e["part"] for e in events if "part" in e)
        self.assertEqual([parts], answers_of(events, "ann"))
        self.assertLess(events[-1]["mean_logprob"], 0)

    def test_a_person_takes_over_until_the_customer_is_back(self):
        events, _ = self.talk("ann: hello", f"ann: {self.WISH}", "ann: are you there?", "/back ann",
                              "ann: thanks", f"bob: {self.WISH}")
        first, second = answers_of(events, "ann")
        handed = {e["hand_over"]: e for e in events if "hand_over" in e}
        self.assertEqual(handed["ann"]["reason"], "the customer asks for a person")
        self.assertEqual(handed["ann"]["transcript"], [{"role": "user", "text": "hello"},
                                                       {"role": "assistant", "text": first},
                                                       {"role": "user", "text": self.WISH}])
        self.assertEqual([t["text"] for t in handed["bob"]["transcript"]], [self.WISH])
        self.assertTrue(second)

    def test_an_unsure_answer_hands_over(self):
        events, _ = self.talk("ann: hello", "ann: hello?", unsure=0)
        self.assertEqual(len(answers_of(events, "ann")), 1)
        self.assertEqual(events[-1]["reason"], "the model is unsure of its answer")

    def test_an_answer_that_fails_hands_over(self):
        events, _ = self.talk("ann: " + 5000 * "x", "bob: hello", status=1)
        handed = [e for e in events if "hand_over" in e]
        self.assertEqual([e["hand_over"] for e in handed], ["ann"])
        self.assertIn("no answer: over_context: ", handed[0]["reason"])
        self.assertEqual(len(answers_of(events, "bob")), 1)

    def test_hand_overs_are_added_to_a_queue(self):
        queue = self.here / "queue.jsonl"
        for name in ("ann", "bob"):
            self.assertEqual(self.talk(f"{name}: {self.WISH}", arguments=["--queue", queue])[0], [])
        handed = [json.loads(line) for line in queue.read_text().splitlines()]
        self.assertEqual([e["hand_over"] for e in handed], ["ann", "bob"])

    def test_what_is_wrong_is_said(self):
        _, errors = self.talk("hello", "/back bob", '{"customer": "ann"}', status=1)
        for text in ("line 1 names no customer", "nobody called 'bob' has written",
                     'line 3 has no text "text"'):
            self.assertIn(f"error: {text}\nhint: ", errors)
        self.fails(3, "facts.txt: No such file", "--facts", "facts.txt")
        self.fails(3, "nowhere/queue cannot be written", "--queue", "nowhere/queue")


@needs_model
class AssistantOfTheDefaultModel(WithModel):
    service = "assistant"

    def test_it_knows_its_facts(self):
        lines = "ann: When are you open?\n"
        how = ["--facts", SOURCES / "assistant/lumen.txt"]
        events, _ = self.use(*how, stdin=lines)
        self.assertRegex(answers_of(events, "ann")[0], r"9 .*18")
        self.assertEqual(self.use(*how, stdin=lines)[0][-1], events[-1])


class Recommending(ServiceCase):
    service = "recommender"

    def setUp(self):
        super().setUp()
        self.how = ["--catalogue", SOURCES / "recommender/catalogue.json", "--profiles", "profiles"]

    def like(self, user, *items):
        for x in items:
            self.use(*self.how, "like", user, x["id"])

    def recommend(self, user, *arguments):
        return self.use(*self.how, "recommend", user, *arguments)[0]


class Recommender(Recommending):
    def test_likes_are_recorded_once_and_no_node_is_needed(self):
        self.assertEqual(self.node.stop(), 0)
        for x, count in ((0, 1), (1, 2), (0, 2)):
            events, _ = self.use(*self.how, "like", "ann", CATALOGUE[x]["id"])
            self.assertEqual(events, [{"user": "ann", "likes": count}])
        self.assertEqual((self.here / "profiles/ann.jsonl").read_text(),
                         "".join(f'{{"item":"{x["id"]}"}}\n' for x in CATALOGUE[:2]))

    def test_what_is_liked_is_not_recommended(self):
        self.like("ann", *CATALOGUE[:3])
        events = self.recommend("ann", "-n", 1000)
        self.assertEqual({e["id"] for e in events}, {x["id"] for x in CATALOGUE[3:]})
        self.assertEqual([e["place"] for e in events], list(range(1, len(CATALOGUE) - 2)))
        scores = [e["score"] for e in events]
        self.assertEqual(scores, sorted(scores, reverse=True))
        for e in events:
            self.assertTrue(e["why"].startswith(("You like cooking, and this book", "This book")))

    def test_the_same_seed_says_the_same(self):
        self.like("ann", *CATALOGUE[:2])
        self.assertEqual(self.recommend("ann", "--seed", 7), self.recommend("ann", "--seed", 7))

    def test_of_nobody_the_catalogue_keeps_its_order(self):
        events = self.recommend("nobody")
        self.assertEqual([e["id"] for e in events], [x["id"] for x in CATALOGUE[:3]])
        self.assertEqual({e["score"] for e in events}, {0})

    def test_what_is_wrong_is_said(self):
        self.fails(2, "no item has the id 'x'", *self.how, "like", "ann", "x")
        self.fails(2, "'../ann' is no name for a user", *self.how, "recommend", "../ann")
        self.fails(2, "A subcommand is required", *self.how)
        self.fails(3, "catalogue.json: No such file", "recommend", "ann")
        (self.here / "catalogue.json").write_text("{}")
        self.fails(3, "catalogue.json is no array of JSON", "recommend", "ann")


@needs_model
class RecommenderOfTheDefaultModel(Recommending, WithModel):
    def test_ten_likes_of_a_category_raise_it_to_the_top(self):
        was_there = []
        for category in CATEGORIES:
            with self.subTest(category):
                others = [x for x in CATALOGUE if x["category"] != category]
                self.like(category, *others[::16])
                was_there.append(self.recommend(category)[0]["category"] == category)
                self.like(category, *[x for x in CATALOGUE if x["category"] == category][:10])
                first, *_ = events = self.recommend(category)
                self.assertEqual(first["category"], category)
                self.assertRegex(first["why"], rf"^You like {category}, and this book .*[.!?…]$")
        self.assertIn(False, was_there)
        self.assertEqual(self.recommend(category), events)


if __name__ == "__main__":
    script_test.main()
