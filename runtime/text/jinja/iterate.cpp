#include "runtime/text/jinja/iterate.hpp"

#include <string>
#include <utility>

#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/unicode.hpp"
#include "runtime/text/jinja/views.hpp"

namespace llmos::jinja {

namespace {

class sequence_iterator : public iterator {
public:
  sequence_iterator(value x, bool reversed) : x_(std::move(x)), reversed_(reversed) {}

  const char* type_name() const override {
    return x_.is_tuple() ? "tuple_iterator" : "list_iterator";
  }
  uint32_t depth() const override { return x_.depth(); }

  std::optional<value> next(machine&) override {
    const auto& items = x_.items();
    if (done_ >= items.size()) return std::nullopt;
    const size_t i = done_++;
    return items[reversed_ ? items.size() - 1 - i : i];
  }

private:
  value x_;
  bool reversed_;
  size_t done_ = 0;
};

class text_iterator : public iterator {
public:
  text_iterator(value x, bool reversed)
      : x_(std::move(x)), reversed_(reversed), pos_(reversed ? x_.bytes().size() : 0) {}

  const char* type_name() const override { return "str_iterator"; }

  std::optional<value> next(machine& m) override {
    const std::string& s = x_.bytes();
    if (pos_ == (reversed_ ? 0 : s.size())) return std::nullopt;
    const size_t from = pos_;
    reversed_ ? previous_code_point(s, pos_) : next_code_point(s, pos_);
    return m.make_text(reversed_ ? s.substr(pos_, from - pos_) : s.substr(from, pos_ - from));
  }

private:
  value x_;
  bool reversed_;
  size_t pos_;
};

class dict_iterator : public iterator {
public:
  dict_iterator(value x, dict_part part, bool reversed)
      : x_(std::move(x)), part_(part), reversed_(reversed) {}

  const char* type_name() const override { return "dict_iterator"; }
  uint32_t depth() const override { return x_.depth(); }

  std::optional<value> next(machine& m) override {
    const auto& entries = x_.mapping().entries();
    if (done_ >= entries.size()) return std::nullopt;
    const size_t i = done_++;
    const auto& [key, x] = entries[reversed_ ? entries.size() - 1 - i : i];
    switch (part_) {
      case dict_part::keys: return key;
      case dict_part::values: return x;
      case dict_part::items: return m.make_tuple({key, x});
    }
    return std::nullopt;
  }

private:
  value x_;
  dict_part part_;
  bool reversed_;
  size_t done_ = 0;
};

class empty_iterator : public iterator {
public:
  std::optional<value> next(machine&) override { return std::nullopt; }
};

class range_iterator : public iterator {
public:
  range_iterator(int64_t first, int64_t step, uint64_t count)
      : next_(first), step_(step), left_(count) {}

  const char* type_name() const override { return "range_iterator"; }

  std::optional<value> next(machine&) override {
    if (left_ == 0) return std::nullopt;
    const int64_t x = next_;
    if (--left_ > 0) next_ += step_;
    return value(x);
  }

private:
  int64_t next_, step_;
  uint64_t left_;
};

}  // namespace

std::shared_ptr<iterator> try_iterate(machine& m, const value& x) {
  switch (x.kind()) {
    case kind::undefined: return std::make_shared<empty_iterator>();
    case kind::text: return std::make_shared<text_iterator>(x, false);
    case kind::sequence: return std::make_shared<sequence_iterator>(x, false);
    case kind::mapping: return std::make_shared<dict_iterator>(x, dict_part::keys, false);
    case kind::object: return x.object()->iterate(m);
    default: return nullptr;
  }
}

std::shared_ptr<iterator> iterate(machine& m, const value& x) {
  auto it = try_iterate(m, x);
  if (it == nullptr) fail(std::string("a ") + x.type_name() + " cannot be iterated");
  return it;
}

std::shared_ptr<iterator> try_iterate_reversed(machine& m, const value& x) {
  switch (x.kind()) {
    case kind::text: return std::make_shared<text_iterator>(x, true);
    case kind::sequence: return std::make_shared<sequence_iterator>(x, true);
    case kind::mapping: return std::make_shared<dict_iterator>(x, dict_part::keys, true);
    case kind::object: return x.object()->iterate_reversed(m);
    default: return nullptr;
  }
}

std::vector<value> collect(machine& m, const value& x) {
  if (x.is(kind::sequence)) {
    m.step(x.items().size() / 16);
    return x.items();
  }
  std::vector<value> out;
  const auto it = iterate(m, x);
  while (auto item = it->next(m)) {
    m.step();
    out.push_back(*std::move(item));
  }
  return out;
}

std::optional<size_t> length_of(machine& m, const value& x) {
  switch (x.kind()) {
    case kind::undefined: return 0;
    case kind::text: return x.text().length;
    case kind::sequence: return x.items().size();
    case kind::mapping: return x.mapping().entries().size();
    case kind::object: return x.object()->length(m);
    default: return std::nullopt;
  }
}

const char* dict_view::type_name() const {
  switch (part_) {
    case dict_part::keys: return "dict_keys";
    case dict_part::values: return "dict_values";
    default: return "dict_items";
  }
}

std::shared_ptr<iterator> dict_view::iterate(machine&) {
  return std::make_shared<dict_iterator>(dict_, part_, false);
}

std::shared_ptr<iterator> dict_view::iterate_reversed(machine&) {
  return std::make_shared<dict_iterator>(dict_, part_, true);
}

range::range(int64_t start, int64_t stop, int64_t step) : start_(start), stop_(stop), step_(step) {
  // In unsigned arithmetic the distance between any two int64 fits.
  const bool up = step > 0;
  const bool is_empty = up ? start >= stop : start <= stop;
  const uint64_t from = static_cast<uint64_t>(start), to = static_cast<uint64_t>(stop);
  const uint64_t distance = up ? to - from : from - to;
  const uint64_t stride = up ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  count_ = is_empty ? 0 : (distance - 1) / stride + 1;
}

int64_t range::at(uint64_t i) const {
  return static_cast<int64_t>(static_cast<uint64_t>(start_) + i * static_cast<uint64_t>(step_));
}

std::string range::print(machine&) {
  std::string out = "range(" + std::to_string(start_) + ", " + std::to_string(stop_);
  if (step_ != 1) out += ", " + std::to_string(step_);
  return out + ")";
}

std::shared_ptr<iterator> range::iterate(machine&) {
  return std::make_shared<range_iterator>(start_, step_, count_);
}

std::shared_ptr<iterator> range::iterate_reversed(machine&) {
  if (count_ == 0) return std::make_shared<empty_iterator>();
  if (step_ == INT64_MIN) fail_unsupported("a range with a step of " + std::to_string(step_));
  return std::make_shared<range_iterator>(at(count_ - 1), -step_, count_);
}

std::optional<value> range::attribute(machine&, std::string_view name) {
  if (name == "start") return value(start_);
  if (name == "stop") return value(stop_);
  if (name == "step") return value(step_);
  if (name == "count" || name == "index") fail_unsupported("range." + std::string(name));
  return std::nullopt;
}

std::optional<value> range::item(machine&, const value& key) {
  const auto i = key.as_integer();
  if (!i) return std::nullopt;
  const int64_t n = static_cast<int64_t>(count_);
  const int64_t k = *i < 0 ? *i + n : *i;
  if (k < 0 || k >= n) return std::nullopt;
  return value(at(static_cast<uint64_t>(k)));
}

}  // namespace llmos::jinja
