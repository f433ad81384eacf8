#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

// Runs CUDA kernels on the host, for tests on machines without a GPU: the threads of a block are
// fibers of one thread, which switch where they wait for each other. What it finds that a GPU would
// not show at once: reads of memory that nobody wrote (new memory holds NaN), accesses out of
// bounds (with AddressSanitizer: device and shared memory are exact allocations), barriers that not
// every thread reaches, host memory that is gone before the stream has read it (streams run when
// somebody waits for them). What it cannot find: races between blocks, and how fast anything is.

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace llmos::cuda_on_host {

constexpr unsigned warp_size = 32;

/// Where a thread is, as kernels see it.
struct place {
  uint3 thread, block;
  dim3 block_dim, grid_dim;
};
const place& here();

/// The block's dynamic shared memory.
void* shared_memory();

void sync_block();
void sync_warp();

/// What every thread of the warp hands in, by lane; valid until the warp's next exchange but one.
/// REQUIRES: size <= 64.
const std::byte* exchange(const void* value, size_t size);
constexpr size_t exchange_stride = 64;

/// Runs `body` once for each thread of each block, one block after the other.
void run_grid(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& body);

}  // namespace llmos::cuda_on_host
