// Any bytes, cut into frames as a connection cuts them: what the filter lets pass is one of the few
// shapes that it may let pass, said here once more and without its code.
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "runtime/base/check.hpp"
#include "runtime/remote/frame_filter.hpp"
#include "tests/support/caf_bytes.hpp"

using namespace llmos;

namespace {

constexpr uint64_t receiver = 17;
constexpr uint32_t max_payload_bytes = 2048, max_bookkeeping_bytes = 4096;
constexpr size_t max_senders = 4;

const std::string own = test::node_bytes(1, 'O');
const std::set<std::string, std::less<>> messages{"@<>+@atom+llmos::wire::hello",
                                                  "@<>+@atom+llmos::wire::query"};

/// The number at `at` of `n` bytes.
uint64_t number_at(std::string_view bytes, size_t at, size_t n) {
  uint64_t out = 0;
  for (const char c : bytes.substr(at, n)) out = out * 256 + static_cast<uint8_t>(c);
  return out;
}

/// Takes a size in groups of seven bits and as many bytes off the front.
std::string_view take_text(std::string_view& rest) {
  uint64_t size = 0, group = 0x80, factor = 1;
  while ((group & 0x80) != 0) {
    LLMOS_CHECK(!rest.empty() && factor < uint64_t{1} << 35);
    group = static_cast<uint8_t>(rest[0]);
    size += (group & 0x7f) * factor;
    factor *= 128;
    rest.remove_prefix(1);
  }
  LLMOS_CHECK(size <= rest.size());
  const auto out = rest.substr(0, size);
  rest.remove_prefix(size);
  return out;
}

/// One connection, and what is known of it from the frames that passed.
struct link {
  std::string node;
  std::set<uint64_t> senders;

  void passed(std::string_view header, std::string_view payload) {
    const auto operation = header[0], flags = header[3];
    const uint64_t data = number_at(header, 8, 8), from = number_at(header, 16, 8),
                   to = number_at(header, 24, 8);
    LLMOS_CHECK(number_at(header, 4, 4) == payload.size());
    if (operation == 1) {
      LLMOS_CHECK(flags == 2 || (flags == 0 && node.empty()));
      LLMOS_CHECK(from == 0 && to == 0);
      return shook_hands(payload);
    }
    LLMOS_CHECK(!node.empty());
    LLMOS_CHECK(flags == 0);
    switch (operation) {
      case 2:
        LLMOS_CHECK(to == receiver && from != 0);
        LLMOS_CHECK(data >> 61 == 0);  // neither a response nor a stream
        return sent(from, payload);
      case 4: LLMOS_CHECK(data == 0 && payload == node + own); return;
      case 5: LLMOS_CHECK(data == 0 && from != 0 && to == 0); return ended(from, payload);
      case 6: LLMOS_CHECK(data == 0 && from == 0 && to == 0 && payload.empty()); return;
      default: LLMOS_CHECK(false);
    }
  }

private:
  void shook_hands(std::string_view payload) {
    LLMOS_CHECK(payload.size() == 32);
    LLMOS_CHECK(payload != own);
    LLMOS_CHECK(number_at(payload, 0, 8) == 0x00003e9aab9bac79);  // of a process
    LLMOS_CHECK(number_at(payload, 8, 4) != 0);
    LLMOS_CHECK(payload.substr(12).find_first_not_of('\0') != std::string_view::npos);
    LLMOS_CHECK(node.empty() || node == payload);
    node = payload;
  }
  void sent(uint64_t from, std::string_view payload) {
    LLMOS_CHECK(payload.size() <= max_payload_bytes);
    LLMOS_CHECK(take_text(payload).empty());  // it came through nobody
    LLMOS_CHECK(number_at(payload, 0, 2) == 0);
    payload.remove_prefix(2);
    LLMOS_CHECK(messages.count(take_text(payload)) == 1);
    senders.insert(from);
    LLMOS_CHECK(senders.size() <= max_senders);
  }
  void ended(uint64_t from, std::string_view payload) {
    LLMOS_CHECK(payload.size() <= max_bookkeeping_bytes);
    LLMOS_CHECK(payload.starts_with(node + own));
    payload.remove_prefix(64);
    LLMOS_CHECK(payload.size() > 11 && number_at(payload, 9, 2) == 0);
    payload.remove_prefix(11);
    std::string want = "@<>";
    const auto types = take_text(payload);
    while (want.size() < types.size()) want += "+@str", take_text(payload);
    LLMOS_CHECK(types == want && payload.empty());
    senders.erase(from);
  }
};

void check_at_client(const frame_header& h) {
  if (verdict_at_client(h, max_payload_bytes) != frame_verdict::pass) return;
  LLMOS_CHECK(h.payload_bytes <= max_payload_bytes);
  LLMOS_CHECK(h.operation == 0 || h.operation == 2 || (h.operation >= 4 && h.operation <= 6));
  LLMOS_CHECK(h.operation != 2 || (h.flags & 1) == 0);
  LLMOS_CHECK((h.operation == 6) == (h.payload_bytes == 0) || h.operation == 2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  frame_filter filter({messages, [] { return receiver; }, own,
                       [](const std::string& node) { return node.find("#9") == node.npos; },
                       max_payload_bytes, max_senders});
  link connection;
  while (rest.size() >= frame_header::size_bytes) {
    const auto header = rest.substr(0, frame_header::size_bytes);
    rest.remove_prefix(header.size());
    const auto h = frame_header::parse(test::as_bytes(header).first<frame_header::size_bytes>());
    check_at_client(h);
    auto verdict = filter.header(h);
    if (verdict == frame_verdict::refuse) break;
    LLMOS_CHECK(h.payload_bytes <= max_bookkeeping_bytes);  // the most that is read for nothing
    if (h.payload_bytes > rest.size()) break;
    const auto payload = rest.substr(0, h.payload_bytes);
    rest.remove_prefix(payload.size());
    if (verdict == frame_verdict::pass && !payload.empty()) {
      verdict = filter.payload(h, test::as_bytes(payload));
    }
    if (verdict == frame_verdict::refuse) break;
    if (verdict == frame_verdict::pass) connection.passed(header, payload);
    if (verdict == frame_verdict::drop) LLMOS_CHECK(h.operation == 2 && !connection.node.empty());
    LLMOS_CHECK(filter.node() == node_text(test::as_bytes(connection.node)));
  }
  return 0;
}
