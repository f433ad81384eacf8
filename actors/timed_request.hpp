#pragma once

#include <caf/actor_clock.hpp>
#include <caf/detail/type_traits.hpp>
#include <caf/message_id.hpp>
#include <caf/message_priority.hpp>
#include <utility>

namespace llmos {

namespace detail {

/// `f`, after the timeout of `id` is forgotten.
template <class Self, class F, class... Args>
auto forgetting(Self* self, caf::message_id id, F f, caf::detail::type_list<Args...>) {
  return [self, id, f = std::move(f)](Args... args) mutable {
    self->clock().cancel_request_timeout(self, id);
    f(std::forward<Args>(args)...);
  };
}

}  // namespace detail

/// What CAF calls a response handle, of one whose timeout goes with the answer.
template <class Self, class Response>
class timed_response {
public:
  timed_response(Self* self, Response response) : self_(self), response_(std::move(response)) {}

  template <class Use, class Fail>
  void then(Use use, Fail fail) const {
    response_.then(forgetting(std::move(use)), forgetting(std::move(fail)));
  }

  template <class Use, class Fail>
  void await(Use use, Fail fail) const {
    response_.await(forgetting(std::move(use)), forgetting(std::move(fail)));
  }

private:
  template <class F>
  auto forgetting(F f) const {
    return detail::forgetting(self_, response_.id(), std::move(f),
                              typename caf::detail::get_callable_trait<F>::arg_types{});
  }

  Self* self_;
  Response response_;
};

/// `self->request(to, timeout, what...)`. CAF 0.17 keeps each timeout until it is due, whether the
/// answer has come or not, and with it the memory of who asked: these are forgotten with the
/// answer.
template <caf::message_priority Priority = caf::message_priority::normal, class Self, class Handle,
          class Timeout, class... Ts>
auto timed_request(Self* self, const Handle& to, const Timeout& timeout, Ts&&... what) {
  return timed_response(self,
                        self->template request<Priority>(to, timeout, std::forward<Ts>(what)...));
}

}  // namespace llmos
