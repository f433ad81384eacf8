#include <algorithm>
#include <array>
#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <chrono>
#include <cmath>
#include <future>

#include "actors/error.hpp"
#include "actors/gateway/batch/batch.hpp"
#include "actors/node.hpp"
#include "tools/llmos/bench.hpp"

namespace llmos {

namespace {

using steady = std::chrono::steady_clock;

/// Chats that run at once: words in common, words of their own, new tokens of each; and the words
/// of one more prompt that comes in behind them. Where `known`, as many others have begun with the
/// common words before.
struct load {
  const char* name;
  uint32_t num_chats;
  uint32_t shared_words;
  uint32_t own_words;
  uint32_t new_tokens;
  uint32_t late_words = 0;
  bool known = false;
};

constexpr load loads[] = {{"streams", 16, 0, 150, 128},
                          {"shared", 16, 600, 20, 32},
                          {"known", 16, 600, 20, 32, 0, true},
                          {"mixed", 8, 0, 40, 256, 4000}};

/// What the requests of one round took.
struct round_result {
  double seconds = 0;
  std::vector<generation_usage> usages;
};

/// Collects what the requests of one round used.
struct round_listener : batch_listener {
  std::vector<generation_usage> usages;
  failure first_failure;
  std::promise<void> finished;

  result<void> on_ended(const ended_item& item) override {
    if (item.what.done) {
      usages.push_back(item.what.done->usage);
    } else if (first_failure.code == ec::none) {
      first_failure = item.what.error;
    }
    return {};
  }
  void on_progress(const job_counts&) override {}
  void on_finished(const job_counts&, const failure&) override { finished.set_value(); }
};

result<round_result> run_round(node& system, batch_job job) {
  const auto start = steady::now();
  auto listener = std::make_shared<round_listener>();
  auto finished = listener->finished.get_future();
  batch_args args;
  args.job = std::make_shared<const batch_job>(std::move(job));
  args.find_kernel = [&system] { return system.kernel(); };
  args.listener = listener;
  system.system().spawn<caf::detached>(batch, std::move(args));
  finished.get();
  if (listener->first_failure.code != ec::none) return listener->first_failure;
  const auto seconds = std::chrono::duration<double>(steady::now() - start).count();
  return round_result{seconds, std::move(listener->usages)};
}

/// Common words by a fixed walk: text of an ordinary number of tokens that no cache has seen.
std::string words(uint32_t n, uint32_t seed) {
  constexpr std::array list = {"the",  "of",   "and",   "to",    "in",   "is",   "that", "it",
                               "was",  "for",  "on",    "are",   "as",   "with", "they", "be",
                               "at",   "one",  "have",  "this",  "from", "by",   "hot",  "but",
                               "what", "some", "other", "water", "all",  "long", "look", "number"};
  std::string out;
  uint32_t walk = seed * 2654435761u + 1;
  for (uint32_t i = 0; i < n; ++i) {
    walk = walk * 1664525u + 1013904223u;
    if (i != 0) out += ' ';
    out += list[(walk >> 8) % list.size()];
  }
  return out;
}

job_item make_item(const bench_options& o, uint32_t new_tokens) {
  job_item item;
  item.request.model = o.model;
  item.request.sampling.temperature = 0;
  item.request.sampling.max_tokens = new_tokens;
  item.request.sampling.max_tokens_asked = true;
  item.request.sampling.ignore_eos = true;
  return item;
}

job_item make_chat(const bench_options& o, const std::string& content, uint32_t new_tokens) {
  auto item = make_item(o, new_tokens);
  item.request.messages = {{{"role", "user"}, {"content", content}}};
  return item;
}

/// `n` different prompts that share no prefix, so that every round computes all of them.
batch_job make_prompts(const bench_options& o, uint32_t n, uint32_t round) {
  batch_job job;
  job.concurrency = n;
  for (uint32_t i = 0; i < n; ++i) {
    auto item = make_item(o, o.decode_tokens);
    item.request.prompt = std::to_string(round) + "." + std::to_string(i) +
                          ": Write down what happened on that day in the harbour, from the first "
                          "light to the last boat, and who was there.";
    job.items.push_back(std::move(item));
  }
  return job;
}

/// What is measured, and what runs unseen before it.
struct round_jobs {
  batch_job measured;
  batch_job before = {};
};

/// The chats of a round, whose own words are those of the seeds from `first_seed` on.
batch_job make_chats(const bench_options& o, const load& x, uint32_t round, uint32_t first_seed,
                     uint32_t new_tokens) {
  batch_job job;
  job.concurrency = x.num_chats;
  auto common = words(x.shared_words, round * 100);
  if (!common.empty()) common += ' ';
  for (uint32_t i = 0; i < x.num_chats; ++i) {
    job.items.push_back(make_chat(o, common + words(x.own_words, first_seed + i), new_tokens));
  }
  return job;
}

round_jobs make_load(const bench_options& o, const load& x, uint32_t round) {
  const uint32_t seed = round * 100 + 1;
  round_jobs out{make_chats(o, x, round, seed, x.new_tokens)};
  if (x.known) out.before = make_chats(o, x, round, seed + x.num_chats, 1);
  if (x.late_words > 0) {
    const auto late = words(x.late_words, seed + x.num_chats);
    out.measured.items.push_back(make_chat(o, late, 1));
    ++out.measured.concurrency;
  }
  return out;
}

/// Microseconds of the engine's steps, by their histograms.
struct step_sums {
  double deliver = 0, plan = 0, blocks = 0, dispatch = 0, compute = 0, sample = 0;
  uint64_t steps = 0;

  void add(const step_sums& x, int sign) {
    deliver += sign * x.deliver;
    plan += sign * x.plan;
    blocks += sign * x.blocks;
    dispatch += sign * x.dispatch;
    compute += sign * x.compute;
    sample += sign * x.sample;
    steps += static_cast<uint64_t>(sign) * x.steps;
  }
};

latency_histogram histogram_of(const metrics_snapshot& all, std::string_view name) {
  latency_histogram out;
  for (const auto& family : all) {
    for (const auto& s : family.series) {
      if (family.name == name) out.merge(s.histogram);
    }
  }
  return out;
}

result<step_sums> sum_steps(node& system) {
  result<step_sums> out{failure{ec::internal, "the kernel gave no metrics", ""}};
  const caf::scoped_actor self{system.system()};
  self->request(system.kernel(), std::chrono::seconds{10}, atom::stats_v)
      .receive(
          [&](const metrics_ptr& m) {
            const auto sum = [&](const char* part) {
              return histogram_of(*m, std::string{"llmos_step_"} + part + "_seconds").sum() * 1e6;
            };
            out = step_sums{sum("deliver"),
                            sum("plan"),
                            sum("blocks"),
                            sum("dispatch"),
                            sum("forward"),
                            sum("sample"),
                            histogram_of(*m, "llmos_step_forward_seconds").count()};
          },
          [&](const caf::error& e) { out = to_failure(e); });
  return out;
}

std::optional<step_costs> means_of(const step_sums& x) {
  if (x.steps == 0) return std::nullopt;
  const auto n = static_cast<double>(x.steps);
  return step_costs{x.deliver / n,  x.plan / n,    x.blocks / n,
                    x.dispatch / n, x.compute / n, x.sample / n};
}

std::optional<bench_latency> latency_of(std::vector<double> ms) {
  if (ms.empty()) return std::nullopt;
  std::sort(ms.begin(), ms.end());
  const auto last = static_cast<double>(ms.size() - 1);
  const auto p99 = ms[static_cast<size_t>(std::ceil(0.99 * last))];
  return bench_latency{median_of(ms), p99, ms.back()};
}

std::optional<bench_latency> latency_of(const latency_histogram& x) {
  if (x.count() == 0) return std::nullopt;
  return bench_latency{x.quantile(0.5) * 1000, x.quantile(0.99) * 1000, x.max() * 1000};
}

/// `make` gives the jobs of a round. The first round loads the model and warms up.
template <class Make>
result<bench_row> measure(node& system, const bench_options& o, std::string what, Make make) {
  bench_row row{std::move(what), 0, {}};
  std::vector<double> first_token_ms;
  latency_histogram token_gaps;
  step_sums steps;
  for (uint32_t i = 0; i <= o.repeats; ++i) {
    round_jobs jobs = make();
    if (!jobs.before.items.empty()) LLMOS_TRY_VOID(run_round(system, std::move(jobs.before)));
    LLMOS_TRY(const auto before, sum_steps(system));
    LLMOS_TRY(const auto done, run_round(system, std::move(jobs.measured)));
    if (i == 0) continue;
    LLMOS_TRY(const auto after, sum_steps(system));
    steps.add(after, 1);
    steps.add(before, -1);
    row.num_tokens = 0;
    row.num_cached = 0;
    for (const auto& u : done.usages) {
      row.num_tokens += u.completion_tokens;
      *row.num_cached += u.cached_tokens;
      first_token_ms.push_back(static_cast<double>(u.first_token_us) / 1000);
      token_gaps.merge(u.token_gaps);
    }
    row.tokens_per_s.push_back(static_cast<double>(row.num_tokens) / done.seconds);
  }
  row.first_token = latency_of(std::move(first_token_ms));
  row.token_gap = latency_of(token_gaps);
  row.step = means_of(steps);
  return row;
}

/// One chat alone, up to its first token.
result<void> add_chat(node& system, const bench_options& o, const std::string& content,
                      bench_row& row) {
  batch_job job;
  job.concurrency = 1;
  job.items.push_back(make_chat(o, content, 1));
  LLMOS_TRY(const auto done, run_round(system, std::move(job)));
  const auto& u = done.usages.front();
  row.num_tokens = u.prompt_tokens;
  row.num_cached = u.cached_tokens;
  row.tokens_per_s.push_back(u.prompt_tokens * 1e6 / static_cast<double>(u.first_token_us));
  return {};
}

result<void> bench_cached(node& system, const bench_options& o, const bench_listener& listener) {
  constexpr uint32_t known = 600, own = 20, block = 16;
  bench_row rows[] = {{"first token, cold", 0, {}},
                      {"first token, 600 cached", 0, {}},
                      {"first token, new part", 0, {}}};
  for (uint32_t i = 0; i <= o.repeats; ++i) {
    const uint32_t seed = 1'000'000 + i * 10;
    const auto prefix = words(known, seed) + " ";
    LLMOS_TRY_VOID(add_chat(system, o, prefix + words(own, seed + 1), rows[0]));
    LLMOS_TRY_VOID(add_chat(system, o, prefix + words(own, seed + 2), rows[1]));
    LLMOS_TRY_VOID(add_chat(system, o, words(own + block, seed + 3), rows[2]));
    if (i != 0) continue;  // the first loads the model and warms up
    for (auto& row : rows) row.tokens_per_s.clear();
  }
  for (auto& row : rows) {
    const auto tokens = static_cast<double>(row.num_tokens);
    std::vector<double> ms;
    for (const double rate : row.tokens_per_s) ms.push_back(1000 * tokens / rate);
    row.first_token = latency_of(std::move(ms));
    LLMOS_TRY_VOID(listener.on_row(row));
  }
  return {};
}

constexpr const char* harbour =
    "The harbour of Saltmarsh was built in 1702 by fishermen who had lost their homes in a flood. "
    "They chose the narrow bay because its cliffs keep the north wind away. In the first winter "
    "they raised a pier of oak, forty metres long, and a small tower with an oil lamp at its end. "
    "The pier burned down in 1788, and the town built another one of granite, which still stands. "
    "Today about two hundred boats call there every week.";
constexpr const char* letter =
    "Dear Mrs Lindqvist, thank you for your order number 48213 of 3 March. We are sorry to tell "
    "you that teh blue enamel kettle is out of stock until teh end of April. We can send you the "
    "green one (article K-207, 34.90 euros) at once, or keep your order open until the blue one "
    "arrives. Please let us know by Friday what you would like us to do.";
constexpr const char* stack =
    "```python\nclass Stack:\n    def __init__(self):\n        self.items = []\n\n"
    "    def push(self, item):\n        self.items.append(item)\n\n"
    "    def pop(self):\n        if not self.items:\n"
    "            raise IndexError(\"pop from an empty stack\")\n"
    "        return self.items.pop()\n\n"
    "    def __len__(self):\n        return len(self.items)\n```";

/// Chats of one kind, asked one after the other.
struct conversation {
  const char* name;
  float temperature;
  std::vector<std::string> questions;
};

const conversation conversations[] = {
    {"copy",
     0,
     {std::string{"Repeat the following text word for word:\n\n"} + harbour,
      std::string{"Correct the spelling mistakes and change nothing else:\n\n"} + letter,
      std::string{"What does the text say? Quote the sentences that answer.\n\n"} + harbour,
      std::string{"Add a docstring to each function and print the program:\n\n"} + stack}},
    {"plain",
     0.8f,
     {"Explain how a steam engine works.",
      "Write a short story about a lighthouse keeper and a storm.",
      "What are the advantages of trains over cars?",
      "Write a letter to my landlord about a broken heating."}}};

job_item make_question(const bench_options& o, const conversation& c, const std::string& content) {
  auto item = make_chat(o, content, 256);
  item.request.sampling.ignore_eos = false;
  item.request.sampling.temperature = c.temperature;
  item.request.sampling.seed = 1;
  return item;
}

/// A node without speculation and one with it answer in turn, question by question; which one
/// begins changes from round to round.
result<void> bench_speculation(const bench_options& o, const node_config& config,
                               const conversation& c, const bench_listener& listener) {
  const std::string name = c.name;
  bench_row rows[] = {{name + ", no speculation", 0, {}}, {name, 0, {}}};
  std::vector<double> ratios;
  auto without = config;
  without.engine.speculation = "off";
  LLMOS_TRY(const auto first, node::start(without));
  LLMOS_TRY(const auto second, node::start(config));
  for (uint32_t i = 0; i <= o.repeats; ++i) {
    double seconds[2] = {};
    for (auto& row : rows) row.num_tokens = 0;
    for (const auto& question : c.questions) {
      for (const uint32_t turn : {i % 2, 1 - i % 2}) {
        batch_job job;
        job.items.push_back(make_question(o, c, question));
        LLMOS_TRY(const auto done, run_round(turn == 0 ? *first : *second, std::move(job)));
        rows[turn].num_tokens += done.usages.front().completion_tokens;
        seconds[turn] += done.seconds;
      }
    }
    if (i == 0) continue;  // the first loads the model and fills the prefix cache
    for (const int turn : {0, 1}) {
      const auto n = static_cast<double>(rows[turn].num_tokens);
      rows[turn].tokens_per_s.push_back(n / seconds[turn]);
    }
    ratios.push_back(seconds[0] / seconds[1]);
  }
  rows[1].ratio = median_of(std::move(ratios));
  for (const auto& row : rows) LLMOS_TRY_VOID(listener.on_row(row));
  first->stop(node::stop_mode::cancel);
  second->stop(node::stop_mode::cancel);
  return {};
}

}  // namespace

result<void> bench_node(const bench_options& o, const node_config& config,
                        const bench_listener& listener) {
  LLMOS_TRY(const auto system, node::start(config));
  uint32_t num_rounds = 0;
  for (const uint32_t n : o.wants("concurrent") ? o.concurrent : std::vector<uint32_t>{}) {
    LLMOS_TRY(const auto row, measure(*system, o, std::to_string(n) + " concurrent", [&] {
                return round_jobs{make_prompts(o, n, ++num_rounds)};
              }));
    LLMOS_TRY_VOID(listener.on_row(row));
  }
  for (const auto& x : loads) {
    if (!o.wants(x.name)) continue;
    LLMOS_TRY(const auto row,
              measure(*system, o, x.name, [&] { return make_load(o, x, ++num_rounds); }));
    LLMOS_TRY_VOID(listener.on_row(row));
  }
  if (o.wants("cached")) LLMOS_TRY_VOID(bench_cached(*system, o, listener));
  system->stop(node::stop_mode::cancel);
  for (const auto& c : conversations) {
    if (o.wants(c.name)) LLMOS_TRY_VOID(bench_speculation(o, config, c, listener));
  }
  return {};
}

}  // namespace llmos
