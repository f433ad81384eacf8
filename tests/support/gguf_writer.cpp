#include "tests/support/gguf_writer.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>

#include "runtime/base/check.hpp"
#include "runtime/base/half.hpp"
#include "tests/support/splitmix64.hpp"

namespace llmos::test {

byte_sink& byte_sink::put_bytes(std::span<const std::byte> bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  return *this;
}

byte_sink& byte_sink::put_text(std::string_view text) {
  return put_bytes(std::as_bytes(std::span{text.data(), text.size()}));
}

byte_sink& byte_sink::put_string(std::string_view text) {
  return put<uint64_t>(text.size()).put_text(text);
}

byte_sink& byte_sink::pad_to(uint64_t alignment) {
  while (bytes_.size() % alignment != 0) bytes_.push_back(std::byte{0});
  return *this;
}

gguf_writer& gguf_writer::version(uint32_t x) {
  version_ = x;
  return *this;
}

gguf_writer& gguf_writer::magic(std::string_view x) {
  magic_ = x;
  return *this;
}

gguf_writer& gguf_writer::alignment(uint32_t x) {
  alignment_ = x;
  return add_kv("general.alignment", x);
}

gguf_writer& gguf_writer::add_kv(std::string_view key, std::string_view value) {
  return add_kv_payload(key, gguf_type::string, byte_sink{}.put_string(value).bytes());
}

gguf_writer& gguf_writer::add_kv(std::string_view key, const std::vector<std::string>& values) {
  byte_sink payload = array_head(gguf_type::string, values.size());
  for (const auto& x : values) payload.put_string(x);
  return add_kv_payload(key, gguf_type::array, payload.bytes());
}

gguf_writer& gguf_writer::add_kv_payload(std::string_view key, gguf_type type,
                                         std::span<const std::byte> payload) {
  byte_sink entry;
  entry.put_string(key).put(static_cast<uint32_t>(type)).put_bytes(payload);
  return add_raw_kv(entry.bytes());
}

gguf_writer& gguf_writer::add_raw_kv(std::span<const std::byte> bytes) {
  entries_.put_bytes(bytes);
  ++n_entries_;
  return *this;
}

gguf_writer& gguf_writer::add_tensor(std::string_view name, tensor_type type,
                                     const std::vector<uint64_t>& dims,
                                     std::span<const std::byte> data, const tensor_lie& lie) {
  data_.pad_to(alignment_);
  const auto& written_dims = lie.dims ? *lie.dims : dims;
  table_.put(lie.name_bytes.value_or(name.size())).put_text(name);
  table_.put(lie.n_dims.value_or(static_cast<uint32_t>(written_dims.size())));
  for (const uint64_t x : written_dims) table_.put(x);
  table_.put(lie.type.value_or(static_cast<uint32_t>(type)));
  table_.put(lie.offset.value_or(data_.bytes().size()));
  data_.put_bytes(data);
  ++n_tensors_;
  return *this;
}

gguf_writer& gguf_writer::add_tensor(std::string_view name, const std::vector<uint64_t>& dims,
                                     std::span<const float> values) {
  return add_tensor(name, tensor_type::f32, dims, std::as_bytes(values));
}

gguf_writer& gguf_writer::lie_kv_count(uint64_t n) {
  claimed_entries_ = n;
  return *this;
}

gguf_writer& gguf_writer::lie_tensor_count(uint64_t n) {
  claimed_tensors_ = n;
  return *this;
}

std::vector<std::byte> gguf_writer::bytes() const {
  byte_sink out;
  out.put_text(magic_).put(version_);
  out.put(claimed_tensors_.value_or(n_tensors_)).put(claimed_entries_.value_or(n_entries_));
  out.put_bytes(entries_.bytes()).put_bytes(table_.bytes());
  if (n_tensors_ != 0) out.pad_to(alignment_);
  out.put_bytes(data_.bytes());
  return out.bytes();
}

void gguf_writer::write(const std::string& path) const {
  const auto all = bytes();
  std::ofstream out{path, std::ios::binary};
  out.write(reinterpret_cast<const char*>(all.data()), static_cast<std::streamsize>(all.size()));
  LLMOS_CHECK(out.flush().good());
}

byte_sink gguf_writer::array_head(gguf_type element_type, uint64_t count) {
  byte_sink out;
  out.put(static_cast<uint32_t>(element_type)).put(count);
  return out;
}

namespace {

/// How blocks of random bytes become sane weights: the float16 scale d lies at byte `scale_at`; a
/// minimum, where the format has one, is `minimum_factor` d at byte `minimum_at` and takes the mean
/// away. `deviation` is that of the weights when all other bytes are random and d is 1.
struct recipe {
  tensor_type type;
  uint32_t scale_at;
  std::optional<uint32_t> minimum_at;
  float minimum_factor;
  double deviation;
};

// Deviations from the moments of uniform integers: of n levels (n^2 - 1) / 12 around their mean.
// A product of independent factors has the product of their mean squares. Signed ranges are half
// a level off zero (+ 0.25 in their mean square); the sign of d, random by block, hides that mean.
const recipe recipes[] = {
    {tensor_type::q4_0, 0, {}, 0, std::sqrt(21.25 + 0.25)},
    {tensor_type::q4_1, 0, 2, -7.5f, std::sqrt(21.25)},
    {tensor_type::q5_0, 0, {}, 0, std::sqrt(85.25 + 0.25)},
    {tensor_type::q5_1, 0, 2, -15.5f, std::sqrt(85.25)},
    {tensor_type::q8_0, 0, {}, 0, std::sqrt(5461.25 + 0.25)},
    // scale (mean square 77.5) x q (3.5), mean 7.5 x 1.5; minus 1.5 x minimum (variance 21.25)
    {tensor_type::q2_k, 80, 82, 1.5f, std::sqrt(77.5 * 3.5 - 11.25 * 11.25 + 2.25 * 21.25)},
    {tensor_type::q3_k, 108, {}, 0, std::sqrt((341.25 + 0.25) * (5.25 + 0.25))},
    // scale (mean square 1333.5) x q (77.5), mean 31.5 x 7.5; minus 7.5 x minimum (341.25)
    {tensor_type::q4_k, 0, 2, 7.5f, std::sqrt(1333.5 * 77.5 - 236.25 * 236.25 + 56.25 * 341.25)},
    {tensor_type::q5_k, 0, 2, 15.5f, std::sqrt(1333.5 * 325.5 - 488.25 * 488.25 + 240.25 * 341.25)},
    {tensor_type::q6_k, 208, {}, 0, std::sqrt((5461.25 + 0.25) * (341.25 + 0.25))},
    {tensor_type::iq4_nl, 0, {}, 0, std::sqrt(4548.0)},  // mean square of its 16 levels
    {tensor_type::iq4_xs, 0, {}, 0, std::sqrt((341.25 + 0.25) * 4548.0)},
};

void store_half(std::byte* at, float value) {
  const uint16_t half = float_to_half(value);
  std::memcpy(at, &half, sizeof half);
}

/// Uniform floats of deviation `scale`, stored by `store(index, value)`.
template <class Store>
void fill_floats(uint64_t n, splitmix64& random, float scale, Store store) {
  const float half_width = scale * std::sqrt(3.0f);
  for (uint64_t i = 0; i < n; ++i) store(i, (2 * random.uniform() - 1) * half_width);
}

void fill_blocks(std::span<std::byte> out, const recipe& r, splitmix64& random, float scale) {
  for (auto& byte : out) byte = static_cast<std::byte>(random.next() >> 56);
  // |d| is uniform between a half and three halves of its middle: mean square 1 + 1/12.
  const double middle = scale / r.deviation / std::sqrt(13.0 / 12.0);
  const uint32_t block_bytes = info_of(r.type).block_bytes;
  for (size_t at = 0; at < out.size(); at += block_bytes) {
    const float sign = random.below(2) == 0 ? 1.0f : -1.0f;
    const float d = sign * static_cast<float>(middle) * (0.5f + random.uniform());
    store_half(&out[at + r.scale_at], d);
    if (r.minimum_at) store_half(&out[at + *r.minimum_at], d * r.minimum_factor);
  }
}

}  // namespace

std::vector<std::byte> random_blocks(tensor_type type, uint64_t n_elems, uint64_t seed,
                                     float scale) {
  const type_info& info = info_of(type);
  LLMOS_CHECK(n_elems % info.block_elems == 0);
  LLMOS_CHECK(scale >= 1e-3f && scale <= 1e3f);
  std::vector<std::byte> out(n_elems / info.block_elems * info.block_bytes);
  splitmix64 random{seed};
  auto store = [&](uint64_t i, auto x) { std::memcpy(&out[i * sizeof x], &x, sizeof x); };
  switch (type) {
    case tensor_type::f32: fill_floats(n_elems, random, scale, store); break;
    case tensor_type::f16:
      fill_floats(n_elems, random, scale, [&](uint64_t i, float x) { store(i, float_to_half(x)); });
      break;
    case tensor_type::bf16:
      fill_floats(n_elems, random, scale, [&](uint64_t i, float x) { store(i, float_to_bf16(x)); });
      break;
    default: {
      const auto* r = std::find_if(std::begin(recipes), std::end(recipes),
                                   [&](const recipe& x) { return x.type == type; });
      LLMOS_CHECK(r != std::end(recipes));
      fill_blocks(out, *r, random, scale);
    }
  }
  return out;
}

}  // namespace llmos::test
