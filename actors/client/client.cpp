#include "actors/client/client.hpp"

#include <algorithm>
#include <caf/send.hpp>
#include <nlohmann/json.hpp>

#include "actors/client/connection.hpp"
#include "runtime/base/utf8.hpp"

namespace llmos::client {

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
  std::unique_ptr<connection> to;
  node_info info;
};

client::client(std::unique_ptr<impl> x) : impl_(std::move(x)) {}
client::~client() = default;

result<std::unique_ptr<client>> client::connect(const options& o) {
  LLMOS_TRY(auto to, connection::open(o));
  const auto& said = to->welcome();
  node_info info{said.server, said.principal, said.features};
  return std::unique_ptr<client>(
      new client(std::make_unique<impl>(impl{std::move(to), std::move(info)})));
}

const node_info& client::node() const {
  return impl_->info;
}

void client::on_connection(std::function<void(bool)> told) {
  caf::anon_send(impl_->to->session(), atom::wire_v,
                 std::make_shared<const std::function<void(bool)>>(std::move(told)));
}

void client::on_event(std::function<void(const event&)> told) {
  caf::anon_send(impl_->to->session(), atom::watch_v,
                 std::make_shared<const std::function<void(const event&)>>(std::move(told)));
}

client::ticket client::generate(const request& what, listener hears) {
  auto g = std::make_shared<generation>(generation{draw_ticket(), what, std::move(hears)});
  // A seed of its own, so that the same can be asked for again.
  const auto is_seed = [](const auto& s) { return s.first == "seed"; };
  auto& sampling = g->what.sampling;
  if (std::none_of(sampling.begin(), sampling.end(), is_seed)) {
    sampling.emplace_back("seed", draw_seed());
  }
  caf::anon_send(impl_->to->session(), atom::submit_v, generation_ptr(g));
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
  caf::anon_send(impl_->to->session(), atom::cancel_v, which);
}

result<std::vector<model>> client::models(duration timeout) {
  LLMOS_TRY(const auto found, impl_->to->ask<wire::models>(timeout, atom::list_v, wire::query{}));
  std::vector<model> out;
  for (const auto& m : found.all) {
    out.push_back({m.name, m.state, m.description, m.file_bytes, m.is_default});
  }
  return out;
}

result<model> client::load(const std::string& name, duration timeout) {
  LLMOS_TRY(const auto m,
            impl_->to->ask<wire::model>(timeout, atom::load_v, wire::model_name{name}));
  return model{m.name, m.state, m.description, m.file_bytes, m.is_default};
}

result<void> client::unload(const std::string& name, duration timeout) {
  LLMOS_TRY_VOID(impl_->to->ask<caf::ok_atom>(timeout, atom::unload_v, wire::model_name{name}));
  return {};
}

result<std::vector<process>> client::processes(duration timeout) {
  LLMOS_TRY(const auto found, impl_->to->ask<wire::processes>(timeout, atom::ps_v, wire::query{}));
  std::vector<process> out;
  for (const auto& p : found.all) {
    out.push_back({p.id, p.owner, p.model, p.state, p.prompt_tokens, p.generated_tokens,
                   std::chrono::milliseconds(p.age_ms)});
  }
  return out;
}

result<void> client::kill(uint64_t process, duration timeout) {
  LLMOS_TRY_VOID(impl_->to->ask<caf::ok_atom>(timeout, atom::cancel_v, wire::kill{process}));
  return {};
}

result<tokens> client::tokenize(const std::string& text, const std::string& model,
                                duration timeout) {
  LLMOS_TRY(auto found,
            impl_->to->ask<wire::tokens>(timeout, atom::encode_v, wire::text_of{model, text, ""}));
  return tokens{std::move(found.ids), found.context};
}

result<std::string> client::detokenize(const std::vector<int32_t>& ids, const std::string& model,
                                       duration timeout) {
  LLMOS_TRY(auto found,
            impl_->to->ask<wire::text>(timeout, atom::decode_v, wire::tokens_of{model, ids}));
  return std::move(found.text);
}

result<status> client::status(duration timeout) {
  LLMOS_TRY(const auto x, impl_->to->ask<wire::status>(timeout, atom::status_v, wire::query{}));
  return llmos::client::status{x.state,       std::chrono::milliseconds(x.uptime_ms),
                               x.processes,   x.max_processes,
                               x.waiting,     x.running,
                               x.used_blocks, x.all_blocks};
}

result<metrics> client::metrics(duration timeout) {
  LLMOS_TRY(auto found, impl_->to->ask<wire::metrics>(timeout, atom::stats_v, wire::query{}));
  llmos::client::metrics out{std::move(found.bounds), {}};
  for (wire::metric& m : found.all) {
    metric one{std::move(m.name), std::move(m.help), std::move(m.kind), {}};
    for (wire::series& s : m.all) {
      metric_line line{{}, s.value, s.sum, s.min, s.max, std::move(s.buckets)};
      for (auto& l : s.labels) line.labels.emplace_back(std::move(l.name), std::move(l.value));
      one.lines.push_back(std::move(line));
    }
    out.all.push_back(std::move(one));
  }
  return out;
}

result<std::vector<event>> client::events(duration timeout) {
  LLMOS_TRY(const auto found, impl_->to->ask<wire::events>(timeout, atom::watch_v, wire::watch{}));
  std::vector<event> out;
  for (const auto& x : found.all) out.push_back(from_wire(x));
  return out;
}

}  // namespace llmos::client
