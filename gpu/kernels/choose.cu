// One block a row. Nothing is sorted: every limit (the k-th candidate, the mass of top_p, the draw)
// is a search for the candidate at which a running sum passes a target, digit by digit of the
// candidates' order, over histograms in shared memory. Sums are of integers, so their order is
// free and a run chooses what the run before chose.
#include "gpu/kernels/choose.hpp"

#include "gpu/kernels/warp.cuh"
#include "gpu/launch.cuh"

namespace llmos::gpu {

namespace {

using u64 = unsigned long long;  // as atomicAdd wants it

constexpr uint32_t block_threads = 512, n_warps = block_threads / warp_threads;
constexpr uint32_t digit_bits = 11, n_bins = 1u << digit_bits;
constexpr float steps_per_unit = 0x1p22f;  // of distances from the likeliest, up to 1023
constexpr float weight_unit = 0x1p40f;     // a sum of 2^18 of them stays below 2^63

struct shared_state {
  u64 bins[n_bins];
  u64 before;  ///< What a search found: the sum of those before it, and its digit.
  uint32_t digit;
  u64 sum;
  float top[n_warps];
  uint32_t top_at[n_warps];
};

/// The likeliest candidate, of equal ones the first.
struct likeliest {
  float logit;
  uint32_t at;
};
__device__ bool goes_before(float x, uint32_t i, const likeliest& y) {
  return x > y.logit || (x == y.logit && i < y.at);
}

__device__ likeliest find_likeliest(const float* logits, uint32_t n, shared_state& shared) {
  likeliest best = {-INFINITY, 0};
  for (uint32_t i = threadIdx.x; i < n; i += block_threads) {
    const float x = clean(logits[i]);
    if (x > best.logit) best = {x, i};
  }
  for (int mask = 16; mask > 0; mask /= 2) {
    const float x = __shfl_xor_sync(all_lanes, best.logit, mask);
    const uint32_t i = __shfl_xor_sync(all_lanes, best.at, mask);
    if (goes_before(x, i, best)) best = {x, i};
  }
  const uint32_t warp = threadIdx.x / warp_threads;
  if (threadIdx.x % warp_threads == 0) {
    shared.top[warp] = best.logit;
    shared.top_at[warp] = best.at;
  }
  __syncthreads();
  for (uint32_t w = 0; w < n_warps; ++w) {
    if (goes_before(shared.top[w], shared.top_at[w], best))
      best = {shared.top[w], shared.top_at[w]};
  }
  return best;
}

/// The sum of weights over all candidates, in every thread.
template <class Weight>
__device__ u64 sum_of(uint32_t n, const Weight& weight, shared_state& shared) {
  u64 own = 0;
  for (uint32_t i = threadIdx.x; i < n; i += block_threads) own += weight(i);
  __syncthreads();
  if (threadIdx.x == 0) shared.sum = 0;
  __syncthreads();
  atomicAdd(&shared.sum, own);
  __syncthreads();
  return shared.sum;
}

/// Finds the bin in which the sum of bins passes the target, and takes what stands before it off
/// the target. By the first warp; each lane looks after its own part of the bins.
__device__ void find_bin(shared_state& shared, u64 target) {
  constexpr uint32_t per_lane = n_bins / warp_threads;
  const uint32_t lane = threadIdx.x;
  u64 own = 0;
  for (uint32_t i = 0; i < per_lane; ++i) own += shared.bins[lane * per_lane + i];
  u64 end = own;
  for (uint32_t by = 1; by < warp_threads; by *= 2) {
    const u64 other = __shfl_up_sync(all_lanes, end, by);
    if (lane >= by) end += other;
  }
  u64 before = end - own;
  if (target < before || target >= end) return;
  uint32_t digit = lane * per_lane;
  while (target - before >= shared.bins[digit]) before += shared.bins[digit++];
  shared.before = before;
  shared.digit = digit;
}

/// The smallest key at which the sum of weights of all candidates up to it is more than `target`;
/// the target becomes what is left of it at that key. REQUIRES: target < sum of all weights.
template <class Key, class Weight>
__device__ uint32_t search(uint32_t n, u64& target, const Key& key, const Weight& weight,
                           shared_state& shared) {
  uint32_t prefix = 0;
  for (uint32_t done = 0; done < 32; done += digit_bits) {
    const uint32_t left = 32 - done, shift = left > digit_bits ? left - digit_bits : 0;
    const uint32_t mask = (1u << (left - shift)) - 1;
    for (uint32_t i = threadIdx.x; i < n_bins; i += block_threads) shared.bins[i] = 0;
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < n; i += block_threads) {
      const uint32_t k = key(i);
      if (done > 0 && (k ^ prefix) >> left != 0) continue;
      const u64 w = weight(i);
      if (w != 0) atomicAdd(&shared.bins[k >> shift & mask], w);
    }
    __syncthreads();
    if (threadIdx.x < warp_threads) find_bin(shared, target);
    __syncthreads();
    target -= shared.before;
    prefix |= shared.digit << shift;
    __syncthreads();
  }
  return prefix;
}

__device__ u64 mass(float distance) {
  return static_cast<u64>(expf(-distance) * weight_unit);
}

/// Candidates by their distance from the likeliest, nearest first.
struct candidates {
  const float* logits;
  float top;

  __device__ float distance(uint32_t i) const { return top - clean(logits[i]); }
  __device__ uint32_t key(uint32_t i) const {
    const float steps = distance(i) * steps_per_unit;
    return steps < 0x1p32f ? static_cast<uint32_t>(steps) : 0xffffffffu;
  }
};

/// The last key that top_k, top_p and min_p leave.
__device__ uint32_t last_key(const candidates& all, uint32_t n, const token_choice& choice,
                             shared_state& shared) {
  const auto key = [&](uint32_t i) { return all.key(i); };
  uint32_t last = 0xfffffffeu;  // the one behind it is impossible
  if (choice.top_k > 0 && choice.top_k < n) {
    u64 target = choice.top_k - 1;
    const auto one = [](uint32_t) { return u64{1}; };
    last = min(last, search(n, target, key, one, shared));
  }
  if (choice.top_p < 1.0f) {
    const auto weight = [&](uint32_t i) {
      return all.key(i) <= last ? mass(all.distance(i)) : u64{0};
    };
    const u64 sum = sum_of(n, weight, shared);
    const auto wanted = static_cast<u64>(ceil(static_cast<double>(sum) * choice.top_p));
    u64 target = wanted == 0 ? 0 : min(wanted, sum) - 1;
    last = min(last, search(n, target, key, weight, shared));
  }
  if (choice.min_p > 0.0f) {
    const float steps = -logf(choice.min_p) * steps_per_unit;
    if (steps < 0x1p32f) last = min(last, static_cast<uint32_t>(steps));
  }
  return last;
}

__device__ uint32_t draw(const candidates& all, uint32_t n, const token_choice& choice,
                         shared_state& shared) {
  const uint32_t last = last_key(all, n, choice, shared);
  const float sharpness = 1.0f / choice.temperature;
  const auto key = [&](uint32_t i) { return all.key(i); };
  const auto weight = [&](uint32_t i) {
    return all.key(i) <= last ? mass(all.distance(i) * sharpness) : u64{0};
  };
  const u64 sum = sum_of(n, weight, shared);
  u64 target = min(static_cast<u64>(static_cast<double>(sum) * choice.uniform), sum - 1);
  const uint32_t chosen = search(n, target, key, weight, shared);
  const auto among_equals = [&](uint32_t i) { return all.key(i) == chosen ? weight(i) : u64{0}; };
  return search(
      n, target, [](uint32_t i) { return i; }, among_equals, shared);
}

/// The lowest id that is not masked; 0 when all are.
__device__ uint32_t first_allowed(const token_choice& choice, uint32_t n) {
  for (uint32_t id = 0; id < n; ++id) {
    bool is_masked = false;
    for (uint32_t i = 0; i < choice.num_masked; ++i) {
      is_masked = is_masked || static_cast<uint32_t>(choice.masked[i]) == id;
    }
    if (!is_masked) return id;
  }
  return 0;
}

__global__ void __launch_bounds__(block_threads)
    choose_kernel(int32_t* tokens, float* logits, const token_choice* choices, uint32_t n) {
  shared_state& shared = *shared_memory<shared_state>();
  const token_choice choice = choices[blockIdx.x];
  logits += size_t{blockIdx.x} * n;
  if (threadIdx.x < choice.num_masked) logits[choice.masked[threadIdx.x]] = -INFINITY;
  __syncthreads();
  const likeliest top = find_likeliest(logits, n, shared);
  uint32_t token = top.at;
  if (top.logit == -INFINITY) {
    token = first_allowed(choice, n);
  } else if (choice.temperature > 0.0f) {
    token = draw({logits, top.logit}, n, choice, shared);
  }
  if (threadIdx.x == 0) tokens[blockIdx.x] = static_cast<int32_t>(token);
}

}  // namespace

result<void> choose(int32_t* tokens, float* logits, const token_choice* choices, uint32_t n_rows,
                    uint32_t n_vocab, stream_handle s) {
  if (n_rows == 0) return {};
  return launch({n_rows, block_threads, sizeof(shared_state), s}, "choose", choose_kernel, tokens,
                logits, choices, n_vocab);
}

}  // namespace llmos::gpu
