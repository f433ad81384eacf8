#pragma once

#include <caf/stateful_actor.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "actors/protocol.hpp"
#include "runtime/config/node_config.hpp"
#include "runtime/http/server.hpp"
#include "runtime/openai/answer.hpp"
#include "runtime/remote/request_book.hpp"
#include "runtime/security/api_keys.hpp"
#include "runtime/security/tls.hpp"

namespace llmos {

/// A request of a client, and the way to answer it.
struct http_call {
  uint64_t number = 0;  ///< Of all calls of this room.
  http_request request;
  std::shared_ptr<http_exchange> exchange;
};
using http_call_ptr = std::shared_ptr<const http_call>;

/// HTTP. OpenAI's protocol and the node's health and metrics, for clients that bring an API key.
/// Detached: it reads bodies of megabytes, and its server has a thread of its own.
using http_actor = client_actor::extend<
    // Opens the port; its number. Errors: io_error, invalid_argument.
    caf::replies_to<atom::open>::with<uint16_t>,
    // Other keys.
    caf::reacts_to<atom::update, std::shared_ptr<const api_key_table>>,
    // Takes no more connections; answers when all that was answered is out.
    caf::replies_to<atom::drain>::with<caf::ok_atom>,
    // From the server's thread: it has drained.
    caf::reacts_to<atom::ended>,
    // From the server's thread: a request; and that the client of one is gone.
    caf::reacts_to<atom::submit, http_call_ptr>, caf::reacts_to<atom::cancel, uint64_t>>::
    extend_with<configured_actor>::extend_with<status_actor>;

struct http_args {
  node_config config;
  supervisor_actor supervisor;  ///< Tells which kernel there is.
  api_key_table keys;
  std::optional<tls_context> tls;
};

struct http_state {
  static inline constexpr const char* name = "http";

  explicit http_state(http_actor::stateful_pointer<http_state> self) : self(self) {}

  void start(http_args args);
  void configure(const node_config& c);
  void use_keys(const api_key_table& keys) { args_.keys = keys; }
  caf::result<uint16_t> open();
  caf::result<caf::ok_atom> drain();
  void drained();
  void take(const http_call_ptr& call);
  void gone(uint64_t number);
  using event = std::variant<text_chunk, generation_done, failure>;
  /// Of a generation.
  void add(request_id id, event e);
  std::string status() const;

  http_actor::stateful_pointer<http_state> self;

private:
  /// Who asks, as the key has it.
  struct caller {
    std::string owner;
    bool is_operator = false;
  };
  /// A completion that is being generated.
  struct completion {
    http_call_ptr call;
    std::string owner;
    std::optional<openai::answer> answer;        ///< Once the model is known.
    std::vector<std::optional<request_id>> ids;  ///< By choice; while it runs.
    bool has_started = false;                    ///< The stream has.
    bool is_cancelled = false;  ///< By its name: so is each choice that is still to be taken.
  };
  struct place {
    uint64_t call;
    size_t choice;
  };

  void down(const caf::down_msg& d);
  std::optional<caller> authenticate(const http_request& r) const;
  void route(const http_call_ptr& call, const caller& who);
  void complete(const http_call_ptr& call, const caller& who, openai::endpoint where);
  void model_found(uint64_t number, openai::completion_request request, const model_view& model);
  void submit_choices(uint64_t number, completion& c);
  void taken(uint64_t asked, const place& at, request_id id);
  void apply(const place& at, event e);
  void finish(uint64_t number, completion& c);
  void fail(uint64_t number, const failure& why);
  void fail(uint64_t number, const openai::api_error& why);
  void forget(uint64_t number);
  void cancel_request(request_id id);
  void cancel_named(const http_call_ptr& call, const caller& who, std::string_view name);
  void list_models(const http_call_ptr& call, const std::optional<std::string>& only);
  void tokenize(const http_call_ptr& call);
  void detokenize(const http_call_ptr& call);
  void metrics(const http_call_ptr& call, const caller& who);
  void readiness(const http_call_ptr& call);
  template <class Answer, class Use, class... Ts>
  void ask_kernel(const http_call_ptr& call, const Use& use, const Ts&... what);

  http_args args_;
  kernel_actor kernel_;
  std::set<std::string> operators_;
  std::map<uint64_t, completion> completions_;  ///< By the number of their call.
  request_book<place, event> book_;
  caf::typed_response_promise<caf::ok_atom> drain_promise_;
  std::unique_ptr<http_server> server_;  ///< Last: ends before what its handler reaches.
};

http_actor::behavior_type http(http_actor::stateful_pointer<http_state> self, http_args args);

}  // namespace llmos

CAF_BEGIN_TYPE_ID_BLOCK(llmos_http, caf::id_block::llmos_actors::end)
CAF_ADD_TYPE_ID(llmos_http, (llmos::http_call_ptr))
CAF_ADD_TYPE_ID(llmos_http, (std::shared_ptr<const llmos::api_key_table>))
CAF_END_TYPE_ID_BLOCK(llmos_http)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(llmos::http_call_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::shared_ptr<const llmos::api_key_table>)
