#include "runtime/text/jinja/loop.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/iterate.hpp"

namespace llmos::jinja {

namespace {

/// What is left of a list that was read to know its length.
class rest_of_items : public iterator {
public:
  explicit rest_of_items(std::vector<value> items) : items_(std::move(items)) {}

  std::optional<value> next(machine&) override {
    if (done_ == items_.size()) return std::nullopt;
    return items_[done_++];
  }

private:
  std::vector<value> items_;
  size_t done_ = 0;
};

value no_item(machine& m, const char* which) {
  return m.make_undefined(undefined_origin::source::other,
                          std::string("the loop has no ") + which + " item");
}

}  // namespace

loop_context::loop_context(std::shared_ptr<iterator> items, value sized, recursion recurse,
                           int64_t depth0)
    : items_(std::move(items)),
      sized_(std::move(sized)),
      recurse_(std::move(recurse)),
      depth0_(depth0),
      depth_(std::max(items_->depth(), sized_.depth())) {}

void loop_context::detach() {
  items_ = nullptr;
  after_.reset();
  current_ = value();
  if (!is_kept_) before_ = value();
}

void loop_context::keep(machine& m) {
  if (!std::exchange(is_kept_, true)) m.keep_until_end(shared_from_this());
}

std::optional<value> loop_context::advance(machine& m) {
  std::optional<value> out = std::exchange(after_, std::nullopt);
  if (!out) out = items_->next(m);
  if (!out) return out;
  ++index0_;
  before_ = std::exchange(current_, *out);
  return out;
}

const std::optional<value>& loop_context::peek(machine& m) {
  if (!after_ && items_) after_ = items_->next(m);
  return after_;
}

std::optional<size_t> loop_context::length(machine& m) {
  if (length_) return length_;
  if (!sized_.is(kind::missing)) length_ = length_of(m, sized_);
  if (!length_) {
    std::vector<value> rest;
    if (items_) rest = collect(m, value(std::shared_ptr<object>(items_)));
    length_ = rest.size() + static_cast<size_t>(index0_ + 1) + (after_ ? 1 : 0);
    items_ = std::make_shared<rest_of_items>(std::move(rest));
  }
  return length_;
}

std::string loop_context::print(machine& m) {
  return "<LoopContext " + std::to_string(index0_ + 1) + "/" + std::to_string(*length(m)) + ">";
}

value loop_context::changed(machine& m, const arguments& args) {
  if (!args.named.empty()) fail("loop.changed takes no named arguments");
  value now = m.make_tuple(args.positional);
  const bool is_first = last_changed_.is(kind::missing);
  if (!is_first && equal(last_changed_, now, &m)) return false;
  if (is_first) keep(m);
  last_changed_ = std::move(now);
  return true;
}

std::optional<value> loop_context::attribute(machine& m, std::string_view name) {
  const auto count = [&] { return static_cast<int64_t>(*length(m)); };
  if (name == "index") return value(index0_ + 1);
  if (name == "index0") return value(index0_);
  if (name == "first") return value(index0_ == 0);
  if (name == "last") return value(!peek(m));
  if (name == "length") return value(count());
  if (name == "revindex") return value(count() - index0_);
  if (name == "revindex0") return value(count() - index0_ - 1);
  if (name == "depth") return value(depth0_ + 1);
  if (name == "depth0") return value(depth0_);
  if (name == "previtem") return before_.is(kind::missing) ? no_item(m, "previous") : before_;
  if (name == "nextitem") return peek(m) ? *peek(m) : no_item(m, "next");
  if (name == "cycle") {
    return m.make_object(std::make_shared<native_function>(
        [self = shared_from_this()](machine&, const arguments& args) {
          if (args.positional.empty()) fail("loop.cycle needs an item");
          const auto n = static_cast<int64_t>(args.positional.size());
          return args.positional[static_cast<size_t>(self->index0_ % n)];
        },
        depth()));
  }
  if (name == "changed") {
    return m.make_object(std::make_shared<native_function>(
        [self = shared_from_this()](machine& mm, const arguments& args) {
          return self->changed(mm, args);
        },
        depth()));
  }
  return std::nullopt;
}

value loop_context::call(machine&, arguments args) {
  const bound_arguments a("loop", args, {{"iterable", true}});
  if (!recurse_) fail("this loop is not recursive");
  return recurse_(a[0], depth0_ + 1);
}

}  // namespace llmos::jinja
