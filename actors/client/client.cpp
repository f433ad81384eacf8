#include "actors/client/client.hpp"

#include <openssl/rand.h>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <mutex>
#include <nlohmann/json.hpp>

#include "actors/client/session.hpp"
#include "actors/error.hpp"
#include "actors/gateway/remote/tls_middleman.hpp"
#include "runtime/base/check.hpp"
#include "runtime/base/utf8.hpp"

namespace llmos::client {

namespace {

constexpr std::chrono::seconds stop_timeout{10};

struct system_config : caf::actor_system_config {
  explicit system_config(const options& o) {
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", size_t{1});
    set("logger.verbosity", caf::atom("quiet"));
    register_messages(*this);
    add_message_types<caf::id_block::llmos_client>();
    load<caf::io::middleman>();
    set("middleman.heartbeat-interval", caf::timespan(o.heartbeat));
    set("middleman.connection-timeout", caf::timespan(o.silence));
  }
};

/// Nobody else's, and nobody can guess it: who has it could go on with the generation.
std::string draw_ticket() {
  unsigned char bytes[16];
  LLMOS_CHECK(RAND_bytes(bytes, sizeof bytes) == 1);
  constexpr const char* digits = "0123456789abcdef";
  std::string out;
  for (const unsigned char b : bytes) {
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

/// Below 2^53: whoever keeps it as a double gets it as it was.
std::string draw_seed() {
  uint64_t x = 0;
  LLMOS_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(&x), sizeof x) == 1);
  return std::to_string(x >> 11);
}

/// A failure that the thread of the sockets leaves for the session.
class last_failure {
public:
  void set(const failure& x) {
    const std::lock_guard lock(mutex_);
    text_ = x.text;
  }
  std::string take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(text_, {});
  }

private:
  std::mutex mutex_;
  std::string text_;
};

}  // namespace

result<request> chat(const std::vector<message>& messages) {
  auto all = nlohmann::ordered_json::array();
  for (const auto& m : messages) {
    if (first_invalid_utf8(m.role) || first_invalid_utf8(m.content)) {
      return failure{ec::invalid_argument,
                     "message " + std::to_string(all.size()) + " is not UTF-8", ""};
    }
    all.push_back({{"role", m.role}, {"content", m.content}});
  }
  request out;
  out.messages = all.dump();
  return out;
}

struct client::impl {
  impl(const options& o, tls_context context)
      : system_options(o), system(system_options), refused(std::make_shared<last_failure>()) {
    auto caller = std::make_shared<tls_caller>(tls_caller{std::move(context), o.server_name, {}});
    caller->failed = [refused = refused](const failure& x) { refused->set(x); };
    middleman = make_tls_middleman(system, nullptr, std::move(caller));
    talker = system.spawn(
        session, session_args{o, middleman, [refused = refused] { return refused->take(); }});
  }
  ~impl() {
    caf::scoped_actor self{system};
    self->request(talker, stop_timeout, atom::stop_v)
        .receive([](caf::ok_atom) {}, [](const caf::error&) {});
    talker = nullptr;
    self->send_exit(middleman, caf::exit_reason::kill);
    self->wait_for(middleman);
    middleman = nullptr;
  }

  /// Asks the session, and waits.
  template <class Answer, class... Ts>
  result<Answer> ask(duration timeout, const Ts&... what) {
    caf::scoped_actor self{system};
    std::optional<result<Answer>> out;
    self->request(talker, timeout, what...)
        .receive([&](Answer& x) { out.emplace(std::move(x)); },
                 [&](const caf::error& why) { out.emplace(to_failure(why)); });
    return std::move(*out);
  }

  system_config system_options;
  caf::actor_system system;
  std::shared_ptr<last_failure> refused;
  caf::io::middleman_actor middleman;
  session_actor talker;
  node_info info;
};

client::client(std::unique_ptr<impl> x) : impl_(std::move(x)) {}
client::~client() = default;

result<std::unique_ptr<client>> client::connect(const options& o) {
  LLMOS_TRY(auto context, tls_context::for_client({o.certificate, o.key, o.ca}));
  auto made = std::make_unique<impl>(o, std::move(context));
  LLMOS_TRY(const auto welcome, made->ask<wire::welcome>(o.connect_timeout, atom::open_v));
  made->info = {welcome.server, welcome.principal, welcome.features};
  return std::unique_ptr<client>(new client(std::move(made)));
}

const node_info& client::node() const {
  return impl_->info;
}

void client::on_connection(std::function<void(bool)> told) {
  caf::anon_send(impl_->talker, atom::wire_v,
                 std::make_shared<const std::function<void(bool)>>(std::move(told)));
}

client::ticket client::generate(const request& what, listener hears) {
  auto g = std::make_shared<generation>(generation{draw_ticket(), what, std::move(hears)});
  // A seed of its own, so that the same can be asked for again.
  const auto is_seed = [](const auto& s) { return s.first == "seed"; };
  auto& sampling = g->what.sampling;
  if (std::none_of(sampling.begin(), sampling.end(), is_seed)) {
    sampling.emplace_back("seed", draw_seed());
  }
  caf::anon_send(impl_->talker, atom::submit_v, generation_ptr(g));
  return g->ticket;
}

std::future<result<answer>> client::generate(const request& what) {
  struct gathering {
    answer so_far;
    std::promise<result<answer>> promise;
  };
  const auto all = std::make_shared<gathering>();
  auto out = all->promise.get_future();
  generate(what, {[all](const chunk& x) {
                    all->so_far.text += x.text;
                    all->so_far.tokens.insert(all->so_far.tokens.end(), x.tokens.begin(),
                                              x.tokens.end());
                  },
                  [all](const result<done>& how) {
                    if (!how) return all->promise.set_value(how.error());
                    all->so_far.end = *how;
                    all->promise.set_value(std::move(all->so_far));
                  }});
  return out;
}

void client::cancel(const ticket& which) {
  caf::anon_send(impl_->talker, atom::cancel_v, which);
}

result<std::vector<model>> client::models(duration timeout) {
  LLMOS_TRY(const auto found, impl_->ask<wire::models>(timeout, atom::list_v, wire::query{}));
  std::vector<model> out;
  for (const auto& m : found.all) {
    out.push_back({m.name, m.state, m.description, m.file_bytes, m.is_default});
  }
  return out;
}

result<model> client::load(const std::string& name, duration timeout) {
  LLMOS_TRY(const auto m, impl_->ask<wire::model>(timeout, atom::load_v, wire::model_name{name}));
  return model{m.name, m.state, m.description, m.file_bytes, m.is_default};
}

result<void> client::unload(const std::string& name, duration timeout) {
  LLMOS_TRY_VOID(impl_->ask<caf::ok_atom>(timeout, atom::unload_v, wire::model_name{name}));
  return {};
}

result<std::vector<process>> client::processes(duration timeout) {
  LLMOS_TRY(const auto found, impl_->ask<wire::processes>(timeout, atom::ps_v, wire::query{}));
  std::vector<process> out;
  for (const auto& p : found.all) {
    out.push_back({p.id, p.owner, p.model, p.state, p.prompt_tokens, p.generated_tokens,
                   std::chrono::milliseconds(p.age_ms)});
  }
  return out;
}

result<void> client::kill(uint64_t process, duration timeout) {
  LLMOS_TRY_VOID(impl_->ask<caf::ok_atom>(timeout, atom::cancel_v, wire::kill{process}));
  return {};
}

result<tokens> client::tokenize(const std::string& text, const std::string& model,
                                duration timeout) {
  LLMOS_TRY(auto found,
            impl_->ask<wire::tokens>(timeout, atom::encode_v, wire::text_of{model, text, ""}));
  return tokens{std::move(found.ids), found.context};
}

result<std::string> client::detokenize(const std::vector<int32_t>& ids, const std::string& model,
                                       duration timeout) {
  LLMOS_TRY(auto found,
            impl_->ask<wire::text>(timeout, atom::decode_v, wire::tokens_of{model, ids}));
  return std::move(found.text);
}

result<std::string> client::metrics(duration timeout) {
  LLMOS_TRY(auto found, impl_->ask<wire::text>(timeout, atom::stats_v, wire::query{"metrics"}));
  return std::move(found.text);
}

}  // namespace llmos::client
