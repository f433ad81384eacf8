#include "runtime/backend/reference/ops.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/base/check.hpp"
#include "runtime/base/half.hpp"

namespace llmos::reference {

matrix decode(const tensor_info* t) {
  if (t == nullptr) return {};
  matrix m{.rows = t->n_rows(), .cols = t->dims[0], .w = std::vector<float>(t->n_elements())};
  dequantize(t->type, t->data, m.w);
  return m;
}

float dot(std::span<const float> a, std::span<const float> b) {
  LLMOS_DCHECK(a.size() == b.size());
  constexpr size_t lanes = 16;
  float sums[lanes] = {};
  size_t i = 0;
  for (; i + lanes <= a.size(); i += lanes) {
    for (size_t lane = 0; lane < lanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (size_t lane = 0; i < a.size(); ++i, ++lane) sums[lane] += a[i] * b[i];
  for (size_t half = lanes / 2; half > 0; half /= 2) {
    for (size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

void matmul(std::span<float> out, std::span<const float> in, const matrix& w,
            std::span<const float> bias, size_t n_rows, uint32_t n_threads) {
  LLMOS_DCHECK(out.size() >= n_rows * w.rows && in.size() >= n_rows * w.cols);
  constexpr size_t worth_a_thread = 1u << 19;  // multiplications, some 50 µs
  const bool small = n_rows * w.rows * w.cols < worth_a_thread;
  // A weight row stays in the first cache while it meets every row of the batch.
  parallel_for(small ? 1 : n_threads, w.rows, [&](size_t begin, size_t end) {
    for (size_t o = begin; o < end; ++o) {
      const float b = bias.empty() ? 0.0f : bias[o];
      for (size_t r = 0; r < n_rows; ++r) {
        out[r * w.rows + o] = dot(w.row(o), in.subspan(r * w.cols, w.cols)) + b;
      }
    }
  });
}

void rms_norm(std::span<float> out, std::span<const float> x, std::span<const float> weight,
              float eps) {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * v;
  const double mean = sum / static_cast<double>(x.size());
  const float scale = static_cast<float>(1.0 / std::sqrt(mean + eps));
  for (size_t i = 0; i < x.size(); ++i) out[i] = x[i] * scale * weight[i];
}

void rotate(std::span<float> head, const rope_table& table, size_t pos, rope_style style) {
  const size_t n = table.n_pairs;
  for (size_t pair = 0; pair < n; ++pair) {
    const bool interleaved = style == rope_style::interleaved;
    float& x = head[interleaved ? 2 * pair : pair];
    float& y = head[interleaved ? 2 * pair + 1 : pair + n];
    const float c = table.cos[pos * n + pair];
    const float s = table.sin[pos * n + pair];
    const float turned = x * c - y * s;
    y = x * s + y * c;
    x = turned;
  }
}

void round_to_q8_0(std::span<float> x) {
  for (; !x.empty(); x = x.subspan(std::min<size_t>(x.size(), 32))) {
    const auto part = x.first(std::min<size_t>(x.size(), 32));
    float most = 0.0f;
    for (const float y : part) most = std::max(most, std::abs(y));
    const bool is_zero = most < 1e-30f;
    const float d = half_to_float(float_to_half(is_zero ? 0.0f : most / 127.0f));
    const float inverse = is_zero ? 0.0f : 127.0f / most;
    for (float& y : part) y = d * std::nearbyint(y * inverse);
  }
}

void softmax(std::span<float> x) {
  const float top = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (float& v : x) sum += v = std::exp(v - top);
  const float scale = static_cast<float>(1.0 / sum);
  for (float& v : x) v *= scale;
}

void swiglu(std::span<float> gate, std::span<const float> up) {
  for (size_t i = 0; i < gate.size(); ++i) {
    gate[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
  }
}

}  // namespace llmos::reference
