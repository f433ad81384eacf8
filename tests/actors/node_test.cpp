#include "actors/node.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <caf/scoped_actor.hpp>
#include <mutex>

#include "actors/error.hpp"
#include "runtime/backend/reference/reference_backend.hpp"
#include "runtime/backend/registry.hpp"
#include "tests/support/ahead_backend.hpp"
#include "tests/support/fake_client.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/tiny_model.hpp"
#include "tests/support/wrapped_backend.hpp"

using namespace llmos;
using namespace std::chrono_literals;

namespace {

/// Passes everything to a real backend, but fails the steps it is told to.
class faulty_backend : public test::wrapped_backend {
public:
  faulty_backend(std::unique_ptr<backend> inner, std::atomic<int>* steps_to_failure)
      : wrapped_backend(std::move(inner)), left_(steps_to_failure) {}
  result<std::span<const float>> forward(const step_batch& b) override {
    if (left_->fetch_sub(1) == 1) return failure{ec::engine_failed, "injected", ""};
    return inner_->forward(b);
  }

private:
  std::atomic<int>* left_;
};

struct fixture {
  test::temp_dir dir;
  std::atomic<int> steps_to_failure{0};
  std::unique_ptr<node> aut;

  /// `can_fail`: whether `steps_to_failure` counts.
  explicit fixture(const std::string& backend_name = "reference", bool can_fail = true,
                   uint64_t swap_bytes = 0) {
    test::write_tiny_model(dir.file("tiny.gguf"));
    node_config config;
    config.models.folder = dir.file("");
    config.models.default_model = "tiny";
    config.engine.backend = backend_name;
    config.engine.context = 256;
    config.engine.kv_bytes = 1 << 20;
    config.engine.swap_bytes = swap_bytes;
    node_hooks hooks;
    hooks.make_backend = [this, can_fail](
                             const loaded_model& m,
                             const engine_plan& plan) -> result<std::unique_ptr<backend>> {
      LLMOS_TRY(auto inner, make_backend(plan.backend, m.weights, plan.device));
      if (!can_fail) return inner;
      return std::unique_ptr<backend>{new faulty_backend{std::move(inner), &steps_to_failure}};
    };
    auto started = node::start(config, hooks);
    REQUIRE(started.ok());
    aut = std::move(*started);
  }

  static std::shared_ptr<generate_request> ask(const std::string& prompt, uint32_t max_tokens,
                                               uint64_t seed = 5) {
    auto r = std::make_shared<generate_request>();
    r->prompt = prompt;
    r->sampling.max_tokens = max_tokens;
    r->sampling.seed = seed;
    r->sampling.ignore_eos = true;
    r->sampling.logprobs = true;
    return r;
  }

  std::string metrics() {
    caf::scoped_actor self{aut->system()};
    std::string out;
    self->request(aut->kernel(), 60s, atom::stats_v)
        .receive([&](const metrics_ptr& m) { out = render_text(*m); },
                 [&](caf::error& e) { FAIL(to_string(to_failure(e))); });
    return out;
  }

  /// Submits all and waits for every terminal message.
  std::map<uint64_t, test::client_log> run(const std::vector<request_ptr>& requests) {
    caf::scoped_actor self{aut->system()};
    const auto me =
        caf::actor_cast<client_actor>(caf::actor_cast<caf::strong_actor_ptr>(self.ptr()));
    const auto kernel = aut->kernel();
    std::map<uint64_t, test::client_log> out;
    std::vector<uint64_t> ids;
    for (const auto& r : requests) {
      self->request(kernel, 60s, atom::submit_v, r, me)
          .receive([&](request_id id) { ids.push_back(id.value); },
                   [&](caf::error& e) { FAIL(to_string(to_failure(e))); });
    }
    size_t left = requests.size();
    self->receive_while([&] { return left > 0; })(
        [&](atom::chunk, const text_chunk& c) {
          auto& log = out[c.id.value];
          log.text += c.text;
          log.tokens.insert(log.tokens.end(), c.tokens.begin(), c.tokens.end());
        },
        [&](atom::done, const generation_done& d) { out[d.id.value].dones.push_back(d), --left; },
        [&](atom::failed, request_id id, const failure& f) {
          out[id.value].failures.push_back(f), --left;
        },
        caf::after(120s) >> [&] { FAIL("no answer"); });
    std::map<uint64_t, test::client_log> in_order;
    for (size_t i = 0; i < ids.size(); ++i) in_order[i] = out[ids[i]];
    return in_order;
  }
};

/// Every request ended once, with the tokens and text that it should have.
void check_same(const std::map<uint64_t, test::client_log>& got,
                const std::map<uint64_t, test::client_log>& want) {
  REQUIRE(got.size() == want.size());
  for (const auto& request : want) {
    CAPTURE(request.first);
    const auto& mine = got.at(request.first);
    REQUIRE(mine.num_terminal() == 1);
    CHECK(mine.tokens == request.second.tokens);
    CHECK(mine.text == request.second.text);
  }
}

}  // namespace

TEST_SUITE_BEGIN("actors.node");

TEST_CASE_FIXTURE(fixture, "a prompt is answered and counted") {
  const auto got = run({ask("hello", 12)});
  const auto& log = got.at(0);
  REQUIRE(log.dones.size() == 1);
  CHECK(log.tokens.size() == 12);
  CHECK(log.dones[0].usage.prompt_tokens == 5);
  CHECK(log.dones[0].reason == finish_reason::length);
  CHECK(log.dones[0].model == "tiny");
}

TEST_CASE_FIXTURE(fixture, "sixteen at once give each the tokens it gets alone") {
  std::vector<request_ptr> all;
  for (int i = 0; i < 16; ++i) {
    all.push_back(ask("prompt number " + std::to_string(i * i), 20, static_cast<uint64_t>(i)));
  }
  const auto together = run(all);
  for (size_t i = 0; i < all.size(); ++i) {
    const auto alone = run({all[i]});
    CAPTURE(i);
    CHECK(alone.at(0).tokens == together.at(i).tokens);
  }
}

/// A device whose every backend fails at its seventh step.
void add_failing_device(std::atomic<int>& num_made) {
  backends().add(
      {"failing",
       [&](uint32_t, std::shared_ptr<const model> m,
           const backend_limits& limits) -> result<std::unique_ptr<backend>> {
         static std::atomic<int> steps_to_failure;
         ++num_made;
         steps_to_failure = 7;
         LLMOS_TRY(auto inner, make_reference_backend(std::move(m), limits));
         return std::unique_ptr<backend>{new faulty_backend{std::move(inner), &steps_to_failure}};
       },
       [](uint32_t, const model& m, const backend_limits& limits) {
         return memory_of_reference_backend(m, limits);
       },
       [](uint32_t) { return result<uint64_t>(uint64_t{1} << 30); }});
}

TEST_CASE("what a failing device began goes on on the CPU, nothing lost or doubled") {
  static std::atomic<int> num_made{0};
  add_failing_device(num_made);
  std::vector<request_ptr> all;
  for (uint64_t i = 0; i < 4; ++i)
    all.push_back(fixture::ask("prompt " + std::to_string(i), 40, i));
  fixture on_host, on_device{"failing"};
  const auto want = on_host.run(all), got = on_device.run(all);
  CHECK(num_made == 3);
  for (size_t i = 0; i < all.size(); ++i) {
    CAPTURE(i);
    REQUIRE(got.at(i).dones.size() == 1);
    CHECK(got.at(i).num_terminal() == 1);
    REQUIRE(got.at(i).tokens.size() == 40);
    // The reference began all: the CPU's arithmetic may choose others later.
    CHECK(std::equal(got.at(i).tokens.begin(), got.at(i).tokens.begin() + 4,
                     want.at(i).tokens.begin()));
  }
  CHECK(on_device.run({all[0]}).at(0).tokens.size() == 40);
  CHECK(num_made == 3);
}

TEST_CASE("a device that runs ahead gives the tokens of one that does not") {
  static std::atomic<int> left;
  static std::atomic<size_t> most_at_once = 0;
  struct counting : test::ahead_backend {
    using ahead_backend::ahead_backend;
    ~counting() override { most_at_once = std::max<size_t>(most_at_once, max_begun); }
  };
  backends().add({"ahead",
                  [](uint32_t, std::shared_ptr<const model> m,
                     const backend_limits& limits) -> result<std::unique_ptr<backend>> {
                    LLMOS_TRY(auto inner, make_reference_backend(std::move(m), limits));
                    return std::unique_ptr<backend>{new counting{std::move(inner), &left}};
                  },
                  [](uint32_t, const model& m, const backend_limits& limits) {
                    return memory_of_reference_backend(m, limits);
                  }});
  std::vector<request_ptr> all;
  for (uint64_t i = 0; i < 6; ++i) {
    auto r =
        fixture::ask("prompt " + std::to_string(i), i == 0 ? 10 : 50 + static_cast<uint32_t>(i), i);
    r->sampling.temperature = 0;
    r->sampling.logprobs = i == 0;  // which no device chooses: nothing runs ahead until it ends
    all.push_back(r);
  }
  const auto want = fixture{}.run(all);
  for (const int fails_at : {0, 9}) {
    CAPTURE(fails_at);
    left = fails_at;
    fixture f{"ahead", false};
    const auto got = f.run(all);
    CHECK(left < 0);
    check_same(got, want);
  }
  CHECK(most_at_once == 2);
}

/// Moves of blocks until one fails; 0: none does.
std::atomic<int> moves_to_failure{0};

/// A device whose memory is the reference's, with blocks behind it that pretend to be the host's.
class swapping_backend : public test::wrapped_backend {
public:
  swapping_backend(std::unique_ptr<backend> inner, const backend_limits& limits)
      : wrapped_backend(std::move(inner)), limits_(limits) {}
  const backend_limits& limits() const override { return limits_; }
  result<std::span<const float>> forward(const step_batch& b) override {
    const std::lock_guard lock(mutex_);
    return wrapped_backend::forward(b);
  }
  result<void> copy_blocks(std::span<const block_id> from, std::span<const block_id> to) override {
    const std::lock_guard lock(mutex_);
    return wrapped_backend::copy_blocks(from, to);
  }
  bool moves_blocks() const override { return true; }
  result<void> move_blocks(std::span<const block_move> moves) override {
    LLMOS_TRY_VOID(validate_moves(moves, limits_));
    if (moves_to_failure.fetch_sub(1) == 1) return failure{ec::engine_failed, "injected", ""};
    for (const auto& m : moves) LLMOS_TRY_VOID(copy_blocks({&m.from, 1}, {&m.to, 1}));
    return {};
  }

private:
  backend_limits limits_;
  std::mutex mutex_;
};

void add_swapping_device() {
  if (backends().find("swapping").ok()) return;  // of a case before
  backends().add({"swapping",
                  [](uint32_t, std::shared_ptr<const model> m,
                     const backend_limits& limits) -> result<std::unique_ptr<backend>> {
                    auto all = limits;
                    all.num_blocks += limits.num_host_blocks;
                    LLMOS_TRY(auto inner, make_reference_backend(std::move(m), all));
                    return std::unique_ptr<backend>{new swapping_backend{std::move(inner), limits}};
                  },
                  [](uint32_t, const model& m, const backend_limits& limits) {
                    return memory_of_reference_backend(m, limits);
                  },
                  [](uint32_t) { return result<uint64_t>(uint64_t{1} << 30); }});
}

/// More prefixes than the device has room for.
std::vector<request_ptr> many_prefixes() {
  std::vector<request_ptr> out;
  for (uint64_t i = 0; i < 40; ++i) {
    out.push_back(fixture::ask(std::to_string(i * i) + std::string(200, 'a'), 8, i));
  }
  return out;
}

TEST_CASE("what a device has no room for comes back from the host, and changes no token") {
  add_swapping_device();
  const auto all = many_prefixes();
  fixture without{"swapping", false}, with{"swapping", false, 64 << 20};
  static_cast<void>(without.run(all));
  const auto want = without.run(all);
  static_cast<void>(with.run(all));
  const auto got = with.run(all);
  uint64_t cached_without = 0, cached_with = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    CAPTURE(i);
    CHECK(got.at(i).tokens == want.at(i).tokens);
    REQUIRE(got.at(i).dones.size() == 1);
    cached_without += want.at(i).dones.at(0).usage.cached_tokens;
    cached_with += got.at(i).dones[0].usage.cached_tokens;
  }
  CHECK(cached_with > 40 * 180);
  CHECK(cached_without < cached_with / 2);
  const std::string_view moved = "llmos_kv_blocks_moved_total";
  CHECK(without.metrics().find(std::string(moved) + "{") == std::string::npos);
  const auto text = with.metrics();
  CAPTURE(text);
  for (const std::string direction : {"in", "out"}) {
    CHECK(text.find(std::string(moved) + "{device=\"swapping\", direction=\"" + direction +
                    "\", model=\"tiny\"} ") != std::string::npos);
  }
}

TEST_CASE("a device that fails while it moves blocks loses and repeats nothing") {
  add_swapping_device();
  const auto all = many_prefixes();
  fixture without{"swapping", false, 64 << 20};
  const auto want = without.run(all);
  for (const int at : {1, 2, 9}) {
    CAPTURE(at);
    fixture aut{"swapping", false, 64 << 20};
    moves_to_failure = at;
    check_same(aut.run(all), want);
    CHECK(moves_to_failure < 0);
    check_same(aut.run(all), want);
  }
}

/// Two devices, of which the second fails at the seventh step of a backend. Counts the steps of
/// each.
void add_pair(std::array<std::atomic<int>, 2>& steps) {
  class counting_backend : public faulty_backend {
  public:
    counting_backend(std::unique_ptr<backend> inner, std::atomic<int>* left,
                     std::atomic<int>& steps)
        : faulty_backend(std::move(inner), left), steps_(steps) {}
    result<std::span<const float>> forward(const step_batch& b) override {
      ++steps_;
      return faulty_backend::forward(b);
    }

  private:
    std::atomic<int>& steps_;
  };
  static std::atomic<int> left[2];
  backends().add({"pair",
                  [&](uint32_t device, std::shared_ptr<const model> m,
                      const backend_limits& limits) -> result<std::unique_ptr<backend>> {
                    left[device] = device == 0 ? 0 : 7;  // from 0 it counts down for ever
                    LLMOS_TRY(auto inner, make_reference_backend(std::move(m), limits));
                    return std::unique_ptr<backend>{
                        new counting_backend{std::move(inner), &left[device], steps[device]}};
                  },
                  [](uint32_t, const model& m, const backend_limits& limits) {
                    return memory_of_reference_backend(m, limits);
                  },
                  [](uint32_t) { return result<uint64_t>(uint64_t{1} << 30); }});
}

TEST_CASE("two devices share the requests, and one takes over those of the other") {
  static std::array<std::atomic<int>, 2> steps;
  add_pair(steps);
  std::vector<request_ptr> all;
  for (uint64_t i = 0; i < 6; ++i)
    all.push_back(fixture::ask("prompt " + std::to_string(i), 40, i));
  fixture on_host, on_pair{"pair:0,pair:1"};
  const auto want = on_host.run(all), got = on_pair.run(all);
  CHECK(steps[0] > 0);
  CHECK(steps[1] >= 7);  // and its requests moved
  check_same(got, want);
}

TEST_CASE_FIXTURE(fixture, "a device failure in mid-stream loses and repeats nothing") {
  const auto want = run({ask("the quick brown fox", 40)});
  steps_to_failure = 5;
  const auto got = run({ask("the quick brown fox", 40)});
  REQUIRE(steps_to_failure <= 0);
  CHECK(got.at(0).tokens == want.at(0).tokens);
  CHECK(got.at(0).text == want.at(0).text);
  REQUIRE(got.at(0).num_terminal() == 1);
}

TEST_CASE_FIXTURE(fixture, "what cannot be served is refused by name") {
  auto unknown = ask("x", 1);
  unknown->model = "nobody";
  auto long_prompt = ask(std::string(300, 'x'), 1);
  const auto got = run({unknown, long_prompt});
  REQUIRE(got.at(0).failures.size() == 1);
  CHECK(got.at(0).failures[0].code == ec::not_found);
  CHECK(got.at(0).failures[0].hint == "known: tiny");
  REQUIRE(got.at(1).failures.size() == 1);
  CHECK(got.at(1).failures[0].code == ec::over_context);
}

TEST_CASE_FIXTURE(fixture, "models list, load and unload") {
  caf::scoped_actor self{aut->system()};
  const auto kernel = aut->kernel();
  auto state = [&] {
    std::string out;
    self->request(kernel, 60s, atom::list_v)
        .receive([&](const model_list& l) { out = l.at(0).state; },
                 [&](caf::error& e) { FAIL(to_string(to_failure(e))); });
    return out;
  };
  CHECK(state() == "on disk");
  self->request(kernel, 60s, atom::load_v, std::string{})
      .receive([&](const model_status& s) { CHECK(s.state == "loaded"); },
               [&](caf::error& e) { FAIL(to_string(to_failure(e))); });
  CHECK(state() == "loaded");
  self->request(kernel, 60s, atom::unload_v, std::string{"tiny"})
      .receive([](caf::ok_atom) {}, [&](caf::error& e) { FAIL(to_string(to_failure(e))); });
  CHECK(state() == "on disk");
  self->request(kernel, 60s, atom::unload_v, std::string{"tiny"})
      .receive([](caf::ok_atom) { FAIL("unloaded twice"); },
               [&](caf::error& e) { CHECK(to_failure(e).code == ec::not_found); });
  CHECK(run({ask("again", 3)}).at(0).tokens.size() == 3);
}

TEST_CASE_FIXTURE(fixture, "a model is opened, and a prompt told in tokens, without a generation") {
  caf::scoped_actor self{aut->system()};
  const auto kernel = aut->kernel();
  const auto failed = [](caf::error& e) { FAIL(to_string(to_failure(e))); };
  self->request(kernel, 60s, atom::open_v, std::string{})
      .receive(
          [](const model_view& m) {
            CHECK(m.model == "tiny");
            CHECK(m.context == 256);
            CHECK(m.loaded->vocabulary->size() > 0);
          },
          failed);
  const auto done = run({ask("some text", 1)});
  self->request(kernel, 60s, atom::encode_v, request_ptr(ask("some text", 1)))
      .receive(
          [&](const encoded_ptr& ids) {
            CHECK(ids->size() == done.at(0).dones.at(0).usage.prompt_tokens);
          },
          failed);
  const auto is_unknown = [](caf::error& e) { CHECK(to_failure(e).code == ec::not_found); };
  self->request(kernel, 60s, atom::open_v, std::string{"nobody"})
      .receive([](const model_view&) { FAIL("there is no such model"); }, is_unknown);
  auto unknown = ask("x", 1);
  unknown->model = "nobody";
  self->request(kernel, 60s, atom::encode_v, request_ptr(unknown))
      .receive([](const encoded_ptr&) { FAIL("there is no such model"); }, is_unknown);
}

TEST_CASE_FIXTURE(fixture, "a stop cancels what runs and tells its client") {
  caf::scoped_actor self{aut->system()};
  const auto me = caf::actor_cast<client_actor>(caf::actor_cast<caf::strong_actor_ptr>(self.ptr()));
  self->request(aut->kernel(), 60s, atom::submit_v, request_ptr{ask("endless", 200)}, me)
      .receive([](request_id) {}, [&](caf::error& e) { FAIL(to_string(to_failure(e))); });
  aut->stop(node::stop_mode::cancel);
  bool done = false;
  self->receive_while([&] { return !done; })(
      [](atom::chunk, const text_chunk&) {},
      [&](atom::done, const generation_done& d) {
        CHECK(d.reason == finish_reason::cancelled);
        done = true;
      },
      [&](atom::failed, request_id, const failure& f) { FAIL(to_string(f)); },
      caf::after(60s) >> [&] { FAIL("no answer"); });
}

TEST_CASE_FIXTURE(fixture, "a stop that drains outlives the kernel") {
  caf::scoped_actor self{aut->system()};
  const auto me = caf::actor_cast<client_actor>(caf::actor_cast<caf::strong_actor_ptr>(self.ptr()));
  const auto kernel = aut->kernel();
  self->request(kernel, 60s, atom::submit_v, request_ptr{ask("all of it", 200)}, me)
      .receive([](request_id) {}, [&](caf::error& e) { FAIL(to_string(to_failure(e))); });
  self->send_exit(kernel, caf::exit_reason::kill);
  aut->stop(node::stop_mode::drain);
  test::client_log log;
  self->receive_while([&] { return log.num_terminal() == 0; })(
      [&](atom::chunk, const text_chunk& c) {
        log.tokens.insert(log.tokens.end(), c.tokens.begin(), c.tokens.end());
      },
      [&](atom::done, const generation_done& d) { log.dones.push_back(d); },
      [&](atom::failed, request_id, const failure& f) { FAIL(to_string(f)); },
      caf::after(60s) >> [&] { FAIL("no answer"); });
  CHECK(log.dones[0].reason == finish_reason::length);
  CHECK(log.tokens.size() == 200);
}

TEST_SUITE_END();
