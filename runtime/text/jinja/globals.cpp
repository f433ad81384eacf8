// The functions that every template finds.

#include <algorithm>
#include <array>
#include <ctime>
#include <string>

#include "runtime/text/jinja/builtins.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/iterate.hpp"
#include "runtime/text/jinja/name_space.hpp"
#include "runtime/text/jinja/print.hpp"
#include "runtime/text/jinja/views.hpp"

namespace llmos::jinja {

namespace {

/// The sandbox of Jinja stops here.
constexpr uint64_t max_range = 100'000;

value make_range(machine& m, const arguments& args) {
  const bound_arguments a("range", args, {{nullptr, true}, {nullptr}, {nullptr}});
  const bool has_start = a.get(1) != nullptr;
  const int64_t step = a.integer(2, 1);
  if (step == 0) fail("range: the step is 0");
  const auto out = std::make_shared<range>(has_start ? a.integer(0, 0) : 0,
                                           has_start ? a.integer(1, 0) : a.integer(0, 0), step);
  if (out->count() > max_range) {
    fail_limit("a range of more than " + std::to_string(max_range) + " items");
  }
  return m.make_object(out);
}

/// dict(mapping or pairs, **named)
std::shared_ptr<mapping> collect_entries(machine& m, const char* callee, const arguments& args) {
  auto out = std::make_shared<mapping>();
  if (args.positional.size() > 1) fail(std::string(callee) + " takes one dict at most");
  const bool is_undefined = !args.positional.empty() && args.positional[0].is_undefined();
  if (is_undefined) fail(args.positional[0].origin().message());
  if (!args.positional.empty() && args.positional[0].is(kind::mapping)) {
    for (const auto& [key, x] : args.positional[0].mapping().entries()) out->set(key, x, &m);
  } else if (!args.positional.empty()) {
    for (const value& pair : collect(m, args.positional[0])) {
      const std::vector<value> parts = collect(m, pair);
      if (parts.size() != 2) fail(std::string(callee) + " needs pairs");
      out->set(parts[0], parts[1], &m);
    }
  }
  for (const auto& [name, x] : args.named) out->set(m.make_text(name), x, &m);
  return out;
}

value make_dict(machine& m, const arguments& args) {
  return m.make_dict(collect_entries(m, "dict", args));
}

value make_namespace(machine& m, const arguments& args) {
  const auto entries = collect_entries(m, "namespace", args);
  m.count_entries(*entries);
  const auto out = std::make_shared<name_space>(entries);
  m.keep_until_end(out);
  return m.make_object(out);
}

/// cycler(a, b, …): one after the other, round and round.
class cycler : public object, public std::enable_shared_from_this<cycler> {
public:
  explicit cycler(value items) : items_(std::move(items)) {}

  const char* type_name() const override { return "Cycler"; }
  uint32_t depth() const override { return items_.depth() + 1; }

  std::optional<value> attribute(machine& m, std::string_view name) override {
    if (name == "current") return items_.items()[at_];
    if (name == "items") return items_;
    if (name == "pos") return value(static_cast<int64_t>(at_));
    if (name != "next" && name != "reset") return std::nullopt;
    const bool is_next = name == "next";
    return m.make_object(std::make_shared<native_function>(
        [self = shared_from_this(), is_next](machine&, const arguments& args) {
          bound_arguments("a method of cycler", args, {});
          return is_next ? self->next() : self->reset();
        },
        depth()));
  }

private:
  value next() {
    const auto& items = items_.items();
    const value out = items[at_];
    at_ = (at_ + 1) % items.size();
    return out;
  }

  value reset() {
    at_ = 0;
    return none_type{};
  }

  value items_;
  size_t at_ = 0;
};

value make_cycler(machine& m, const arguments& args) {
  if (args.positional.empty() || !args.named.empty()) fail("cycler needs items");
  return m.make_object(std::make_shared<cycler>(m.make_tuple(args.positional)));
}

/// joiner(', '): nothing the first time, then the separator.
class joiner : public object {
public:
  explicit joiner(value separator) : separator_(std::move(separator)) {}

  const char* type_name() const override { return "Joiner"; }
  uint32_t depth() const override { return separator_.depth() + 1; }
  bool is_callable() const override { return true; }

  value call(machine&, arguments args) override {
    bound_arguments("a joiner", args, {});
    return std::exchange(is_used_, true) ? separator_ : constant_text("");
  }

  std::optional<value> attribute(machine&, std::string_view name) override {
    if (name == "sep") return separator_;
    if (name == "used") return value(is_used_);
    return std::nullopt;
  }

private:
  value separator_;
  bool is_used_ = false;
};

value make_joiner(machine& m, const arguments& args) {
  const bound_arguments a("joiner", args, {{"sep"}});
  const value* separator = a.get(0);
  return m.make_object(
      std::make_shared<joiner>(separator != nullptr ? *separator : constant_text(", ")));
}

value raise_exception(machine& m, const arguments& args) {
  const bound_arguments a("raise_exception", args, {{"message", true}});
  fault f{ec::invalid_argument, to_str(m, a[0])};
  f.verbatim = true;
  throw f;
}

/// The format with what Python does not leave to the C library: here is a time without a zone and
/// without parts of a second.
std::string answered_by_python(const std::string& format) {
  std::string out;
  for (size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%' || at + 1 == format.size()) {
      out += format[at];
      continue;
    }
    const char c = format[++at];
    if (c == 'f') {
      out += "000000";
    } else if (c != 'z' && c != 'Z') {
      out += {'%', c};
    }
  }
  return out;
}

value strftime_now(machine& m, const arguments& args) {
  const bound_arguments a("strftime_now", args, {{"format", true}});
  const std::string format = answered_by_python(a.text(0).bytes);
  const std::time_t now = m.now().time_since_epoch().count();
  std::tm parts{};
  if (gmtime_r(&now, &parts) == nullptr) fail("strftime_now: the time is out of range");
  const size_t room = format.size() * 64 + 256;
  m.check_length(room);
  m.scan(room);
  std::string out(room, '\0');
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &parts));
  return m.make_text(std::move(out));
}

value lipsum(machine&, const arguments&) {
  fail_unsupported("the function 'lipsum'");
}

struct global {
  std::string_view name;
  value (*call)(machine& m, const arguments& args);
};

constexpr std::array<global, 8> globals = {{{"range", make_range},
                                            {"dict", make_dict},
                                            {"namespace", make_namespace},
                                            {"cycler", make_cycler},
                                            {"joiner", make_joiner},
                                            {"raise_exception", raise_exception},
                                            {"strftime_now", strftime_now},
                                            {"lipsum", lipsum}}};

}  // namespace

value find_global(machine& m, std::string_view name) {
  const auto* it = std::find_if(globals.begin(), globals.end(),
                                [name](const global& g) { return g.name == name; });
  if (it == globals.end()) return {};
  return m.make_object(std::make_shared<native_function>(it->call));
}

}  // namespace llmos::jinja
