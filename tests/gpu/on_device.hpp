#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "gpu/device.hpp"
#include "runtime/base/half.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/splitmix64.hpp"

namespace llmos::test {

template <class T>
T must(result<T> x) {
  REQUIRE_MESSAGE(x.ok(), to_string(x.error()));
  return std::move(x).value();
}
inline void must(const result<void>& x) {
  REQUIRE_MESSAGE(x.ok(), to_string(x.error()));
}

/// A stream on device 0; nothing, and the case counted as skipped, when there is no device.
inline std::optional<gpu::stream> stream_or_skip() {
  if (gpu::device_count() == 0) {
    skip("no CUDA device");
    return std::nullopt;
  }
  must(gpu::use(0));
  return must(gpu::stream::create());
}

/// Values on the device, exactly as many bytes as they take.
template <class T>
class device_array {
public:
  device_array(const std::vector<T>& values, const gpu::stream& s)
      : stream_(s), n_(values.size()), memory_(must(gpu::buffer::create(n_ * sizeof(T)))) {
    must(memory_.copy_from_host(0, values.data(), n_ * sizeof(T), s.handle()));
    must(s.synchronize());
  }
  template <class U = T>
  U* data() const {
    return memory_.template data<U>();
  }
  std::vector<T> fetch() const {
    std::vector<T> out(n_);
    must(memory_.copy_to_host(0, out.data(), n_ * sizeof(T), stream_.handle()));
    must(stream_.synchronize());
    return out;
  }

private:
  const gpu::stream& stream_;
  size_t n_;
  gpu::buffer memory_;
};

/// Uniform in [-1, 1).
inline std::vector<float> random_floats(size_t n, uint64_t seed) {
  splitmix64 rng(seed);
  std::vector<float> out(n);
  for (float& x : out) x = static_cast<float>(rng.below(1u << 24)) * 0x1p-23f - 1.0f;
  return out;
}

/// Every value, converted.
template <class From, class To>
std::vector<To> converted(const std::vector<From>& x, To (*convert)(From)) {
  std::vector<To> out(x.size());
  std::transform(x.begin(), x.end(), out.begin(), convert);
  return out;
}
inline std::vector<uint16_t> to_bf16(const std::vector<float>& x) {
  return converted(x, float_to_bf16);
}
inline std::vector<float> from_bf16(const std::vector<uint16_t>& x) {
  return converted(x, bf16_to_float);
}

/// Every value within `relative` of the largest wanted one, or of itself; NaN is never near.
inline bool all_near(std::span<const float> got, std::span<const float> want, float relative) {
  if (got.size() != want.size()) return false;
  float largest = 0.0f;
  for (const float x : want) largest = std::max(largest, std::abs(x));
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::abs(got[i] - want[i]) <= relative * largest) continue;
    MESSAGE("value " << i << " is " << got[i] << ", wanted " << want[i]);
    return false;
  }
  return true;
}

}  // namespace llmos::test
