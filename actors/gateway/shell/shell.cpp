#include "actors/gateway/shell/shell.hpp"

#include <charconv>
#include <chrono>

#include "actors/error.hpp"
#include "actors/gateway/shell/render.hpp"
#include "actors/timed_request.hpp"
#include "runtime/base/home.hpp"
#include "runtime/base/read_file.hpp"
#include "runtime/base/utf8.hpp"

namespace llmos {

namespace {

constexpr std::chrono::seconds kernel_timeout{30};
/// Loading a large model from a slow disk takes minutes; Ctrl-C ends the waiting.
constexpr std::chrono::minutes load_timeout{30};
/// How long after its own deadline a generation counts as lost.
constexpr std::chrono::seconds grace{60};
constexpr uint64_t max_read_bytes = 1u << 20;

/// The mends that a person in this shell has.
failure with_shell_hint(failure why) {
  if (why.code == ec::over_context) {
    why.hint =
        "/clear forgets the conversation, /set max_tokens N asks for a shorter answer; then /regen";
  }
  return why;
}

result<request_id> read_id(const std::string& text) {
  request_id id;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id.value);
  if (error == std::errc{} && end == text.data() + text.size()) return id;
  return failure{ec::invalid_argument, "/kill: " + text + " is no id", "/ps lists the ids"};
}

}  // namespace

void shell_state::start(const node_config& config, std::shared_ptr<shell_output> out) {
  session_.emplace(config);
  out_ = std::move(out);
  deadline_ = std::chrono::milliseconds{config.kernel.deadline_ms};
}

void shell_state::wire(const kernel_actor& k) {
  if (k == kernel_) return;
  kernel_ = k;
  if (kernel_) self->monitor(kernel_);
}

/// Its processes live on without it, but a reply that it owed will never come.
void shell_state::kernel_down(const caf::down_msg& d) {
  if (!kernel_ || d.source != kernel_.address()) return;
  kernel_ = nullptr;
  if (phase_ == phase::submitting) session_->fail();
  if (phase_ == phase::submitting || phase_ == phase::waiting) {
    refuse({ec::internal, "the kernel failed", "try again"});
  }
}

void shell_state::read(const std::string& line) {
  if (phase_ != phase::idle) {
    out_->error({ec::overloaded, "the shell is busy", "wait for the answer, or Ctrl-C"});
    return;
  }
  auto input = joiner_.add(line);
  if (!input) return refuse(input.error());
  if (!*input) return end_input(shell_output::next::more);
  auto& text = (*input)->text;
  if ((*input)->literal && text.find_first_not_of(" \t\r\n") != text.npos) {
    return submit(session_->ask(std::move(text)));
  }
  auto parsed = parse_shell_line(text);
  if (!parsed) return refuse(parsed.error());
  if (auto* question = std::get_if<std::string>(&*parsed)) {
    submit(session_->ask(std::move(*question)));
  } else if (const auto* command = std::get_if<shell_command>(&*parsed)) {
    run(*command);
  } else {
    end_input();
  }
}

void shell_state::run(const shell_command& c) {
  const auto print = [this](const std::string& text) { out_->print(text); };
  switch (c.verb) {
    case shell_verb::help: return say(shell_help());
    case shell_verb::set: return run_set(c);
    case shell_verb::show: return run_show(c.word);
    case shell_verb::system: return run_system(c.text);
    case shell_verb::clear: return run_clear();
    case shell_verb::regen: return run_regen();
    case shell_verb::read: return run_read(c);
    case shell_verb::load: return load(c.word);
    case shell_verb::unload:
      return ask_kernel<caf::ok_atom>(
          kernel_timeout, [this, c](caf::ok_atom) { out_->print(c.word + " is unloaded\n"); },
          atom::unload_v, c.word);
    case shell_verb::models:
      return ask_kernel<model_list>(
          kernel_timeout, [print](const model_list& m) { print(render_models(m)); }, atom::list_v);
    case shell_verb::ps:
      return ask_kernel<process_list>(
          kernel_timeout, [print](const process_list& p) { print(render_processes(p)); },
          atom::ps_v);
    case shell_verb::kill: return run_kill(c.word);
    case shell_verb::stats:
      return ask_kernel<metrics_ptr>(
          kernel_timeout, [print](const metrics_ptr& m) { print(render_text(*m)); }, atom::stats_v);
    case shell_verb::save: {
      const auto saved = session_->save(c.word);
      return saved ? say(*saved) : refuse(saved.error());
    }
    case shell_verb::exit: return end_input(shell_output::next::leave);
  }
}

void shell_state::run_set(const shell_command& c) {
  if (c.word.empty()) return say(session_->show_settings());
  if (c.text.empty()) {
    const auto text = session_->explain(c.word);
    return text ? say(*text) : refuse(text.error());
  }
  const auto changed = session_->set(c.word, c.text);
  changed ? end_input() : refuse(changed.error());
}

void shell_state::run_show(const std::string& what) {
  if (what == "settings") return say(session_->show_settings());
  if (what == "model") return say(session_->show_model());
  if (what == "system") return say(session_->show_system());
  if (what == "history") return say(session_->show_history());
  if (!what.empty()) {
    return refuse({ec::invalid_argument, "/show: nothing is called " + what,
                   "usage: /show [settings|model|system|history]"});
  }
  say("model: " + session_->show_model() + "system: " + session_->show_system() +
      "turns: " + std::to_string(session_->turns().size()) + "\n" + session_->show_settings());
}

void shell_state::run_system(const std::string& text) {
  session_->system = text;
  end_input();
}

void shell_state::run_clear() {
  session_->clear();
  end_input();
}

void shell_state::run_regen() {
  auto request = session_->regenerate();
  request ? submit(*std::move(request)) : refuse(request.error());
}

void shell_state::run_read(const shell_command& c) {
  const auto content = read_file(expand_home(c.word), max_read_bytes);
  if (!content) return refuse(content.error());
  if (first_invalid_utf8(*content) || content->find('\0') != content->npos) {
    return refuse(
        {ec::invalid_argument, "/read: " + c.word + " holds no text in UTF-8", "convert it first"});
  }
  if (c.text.empty() && content->empty()) {
    return refuse({ec::invalid_argument, "/read: " + c.word + " is empty", "ask something of it"});
  }
  submit(session_->ask(c.text.empty() ? *content : c.text + "\n\n" + *content));
}

void shell_state::load(const std::string& model) {
  const auto wanted = model.empty() ? session_->model : model;
  ask_kernel<model_status>(
      load_timeout,
      [this, wanted](const model_status& m) {
        session_->model = wanted;
        out_->print(render_model(m));
      },
      atom::load_v, wanted);
}

void shell_state::run_kill(const std::string& text) {
  const auto id = read_id(text);
  if (!id) return refuse(id.error());
  ask_kernel<caf::ok_atom>(
      kernel_timeout, [this, text](caf::ok_atom) { out_->print(text + " is ended\n"); },
      atom::cancel_v, *id);
}

void shell_state::say(const std::string& text) {
  out_->print(text);
  end_input();
}

void shell_state::refuse(const failure& why) {
  out_->error(why);
  end_input();
}

template <class T, class OnAnswer, class... Ts>
void shell_state::ask_kernel(caf::timespan timeout, OnAnswer on_answer, Ts... request) {
  if (!kernel_) return refuse({ec::shutting_down, "the node has stopped", "start llmos again"});
  phase_ = phase::waiting;
  timed_request(self, kernel_, timeout, std::move(request)...)
      .then(
          [this, input = input_, on_answer](const T& x) {
            if (input != input_) return;
            on_answer(x);
            end_input();
          },
          [this, input = input_](caf::error& e) {
            if (input == input_) refuse(to_failure(e));
          });
}

void shell_state::submit(request_ptr request) {
  phase_ = phase::submitting;
  stop_wanted_ = false;
  if (!kernel_) {
    session_->fail();
    return refuse({ec::shutting_down, "the node has stopped", "start llmos again"});
  }
  timed_request(self, kernel_, kernel_timeout, atom::submit_v, std::move(request),
                client_actor{self})
      .then(
          [this, input = input_](request_id id) {
            if (input == input_) submitted(id);
          },
          [this, input = input_](caf::error& e) {
            if (input != input_) return;
            session_->fail();
            refuse(with_shell_hint(to_failure(e)));
          });
}

void shell_state::submitted(request_id id) {
  phase_ = phase::answering;
  id_ = id;
  self->delayed_send(self, deadline_ + grace, atom::deadline_v, id);
  if (stop_wanted_) cancel_generation();
  // The first words may overtake the kernel's reply.
  for (auto& [whose, what] : std::exchange(early_, {})) if_mine(whose, std::move(what));
}

void shell_state::if_mine(request_id id, std::function<void()> f) {
  if (phase_ == phase::submitting) {
    early_.emplace_back(id, std::move(f));
  } else if (phase_ == phase::answering && id == id_) {
    f();
  }
}

void shell_state::chunk(const text_chunk& c) {
  if_mine(c.id, [this, text = c.text] {
    if (text.empty()) return;
    session_->append(text);
    out_->answer(text);
    line_open_ = text.back() != '\n';
  });
}

void shell_state::done(const generation_done& d) {
  if_mine(d.id, [this, d] {
    const bool silent = session_->turns().back().answer.empty();
    session_->finish(d);
    end_answer((silent && d.reason == finish_reason::stop ? "[no answer]\n" : end_line(d)) +
               (session_->timing ? timing_line(d.usage) : ""));
  });
}

void shell_state::failed(request_id id, const failure& why) {
  if_mine(id, [this, why] {
    session_->fail();
    if (line_open_) out_->answer("\n");
    refuse(with_shell_hint(why));
  });
}

void shell_state::overdue(request_id id) {
  if (phase_ != phase::answering || id != id_) return;
  failed(id, {ec::deadline_exceeded, "the answer never ended", "/regen asks again"});
}

void shell_state::interrupt() {
  switch (phase_) {
    case phase::idle: return joiner_.clear();
    case phase::waiting: return say("[no longer waiting]\n");
    case phase::submitting: stop_wanted_ = true; return;
    case phase::answering: break;
  }
  if (!stop_wanted_) {
    stop_wanted_ = true;
    return cancel_generation();
  }
  session_->fail();
  end_answer("[stopped waiting for the end of the answer]\n");
}

void shell_state::cancel_generation() {
  if (!kernel_) return;
  timed_request<caf::message_priority::high>(self, kernel_, kernel_timeout, atom::cancel_v, id_)
      .then([](caf::ok_atom) {},
            [this, id = id_](caf::error& e) {
              const auto why = to_failure(e);
              // Not found: it has just ended, and its end is on the way.
              if (why.code != ec::not_found) failed(id, why);
            });
}

void shell_state::end_answer(const std::string& notes) {
  if (line_open_) out_->answer("\n");
  if (!notes.empty()) out_->note(notes);
  end_input();
}

void shell_state::end_input(shell_output::next what) {
  ++input_;
  phase_ = phase::idle;
  line_open_ = false;
  early_.clear();
  out_->ready(what);
}

shell_actor::behavior_type shell(shell_actor::stateful_pointer<shell_state> self,
                                 const node_config& config, std::shared_ptr<shell_output> out) {
  self->set_down_handler([self](const caf::down_msg& d) { self->state.kernel_down(d); });
  self->state.start(config, std::move(out));
  return {
      [self](atom::wire, const kernel_actor& k) { self->state.wire(k); },
      [self](atom::submit, const std::string& line) { self->state.read(line); },
      [self](atom::load, const std::string& model) { self->state.load(model); },
      [self](atom::cancel) { self->state.interrupt(); },
      [self](atom::deadline, request_id id) { self->state.overdue(id); },
      [self](atom::chunk, const text_chunk& c) { self->state.chunk(c); },
      [self](atom::done, const generation_done& d) { self->state.done(d); },
      [self](atom::failed, request_id id, const failure& f) { self->state.failed(id, f); },
  };
}

}  // namespace llmos
