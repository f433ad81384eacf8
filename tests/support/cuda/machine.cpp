#include "tests/support/cuda/machine.hpp"

#include <setjmp.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LLMOS_WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define LLMOS_WITH_ASAN 1
#endif
#ifdef LLMOS_WITH_ASAN
#include <sanitizer/common_interface_defs.h>
#else
#define LLMOS_WITH_ASAN 0
#endif

namespace llmos::cuda_on_host {

namespace {

constexpr size_t stack_bytes = 256 << 10;

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "kernel on the host: %s\n", what);
  std::abort();
}

/// Waits for everybody: the last to arrive lets all go.
struct barrier {
  unsigned expected = 0, arrived = 0;
  uint64_t generation = 0;
};

struct warp {
  barrier all;
  alignas(64) std::byte slots[2][warp_size][exchange_stride];
};

// The C library's jump has AddressSanitizer clear the stack that is left. The compiler's, which
// clang has on x86-64 and few others, does not in functions that are not instrumented.
#if LLMOS_WITH_ASAN
#define LLMOS_JUMPS __attribute__((noinline, no_sanitize("address")))
#define LLMOS_SETJMP __builtin_setjmp
#define LLMOS_LONGJMP __builtin_longjmp
using jump_point = void* [5];
#else
#define LLMOS_JUMPS
#define LLMOS_SETJMP _setjmp
#define LLMOS_LONGJMP _longjmp
using jump_point = jmp_buf;
#endif

/// Where a thread of execution goes on. Only its first step is a context, whose switches are system
/// calls; a jump is twenty times as fast.
struct resting_place {
  ucontext_t context;
  jump_point point;
};
[[noreturn]] LLMOS_JUMPS void jump(resting_place& to) {
  LLMOS_LONGJMP(to.point, 1);
}
LLMOS_JUMPS void go(resting_place& from, resting_place& to, bool is_first) {
  if (LLMOS_SETJMP(from.point) == 0) {
    if (is_first) setcontext(&to.context);
    jump(to);
  }
}

struct fiber {
  resting_place rest;
  std::unique_ptr<std::byte[]> stack;
  place at;
  warp* own_warp = nullptr;
  bool is_done = false;
  bool is_new = true;
  void* fake_stack = nullptr;  ///< Kept for the next block's: to map one takes long.
};

/// The block that runs now.
struct machine {
  resting_place caller;
  std::vector<std::unique_ptr<fiber>> fibers;
  std::vector<std::unique_ptr<warp>> warps;
  barrier block;
  std::unique_ptr<std::byte[]> shared;
  const std::function<void()>* body = nullptr;
  fiber* current = nullptr;
  bool moved = false;  ///< Somebody got on in this round.
  void* fake_stack = nullptr;
  const void* stack_bottom = nullptr;
  size_t stack_size = 0;
};

machine& the_machine() {
  static thread_local machine m;
  return m;
}

void enter(machine& m, fiber& f) {
  m.current = &f;
#if LLMOS_WITH_ASAN
  __sanitizer_start_switch_fiber(&m.fake_stack, f.stack.get(), stack_bytes);
#endif
  go(m.caller, f.rest, std::exchange(f.is_new, false));
#if LLMOS_WITH_ASAN
  __sanitizer_finish_switch_fiber(m.fake_stack, nullptr, nullptr);
#endif
}

void leave(machine& m, fiber& f) {
#if LLMOS_WITH_ASAN
  __sanitizer_start_switch_fiber(&f.fake_stack, m.stack_bottom, m.stack_size);
#endif
  go(f.rest, m.caller, false);
#if LLMOS_WITH_ASAN
  __sanitizer_finish_switch_fiber(f.fake_stack, &m.stack_bottom, &m.stack_size);
#endif
}

void fiber_main() {
  machine& m = the_machine();
  fiber& f = *m.current;
#if LLMOS_WITH_ASAN
  __sanitizer_finish_switch_fiber(f.fake_stack, &m.stack_bottom, &m.stack_size);
#endif
  (*m.body)();
  f.is_done = true;
  m.moved = true;
  leave(m, f);
}

void wait_at(barrier& b) {
  machine& m = the_machine();
  fiber& f = *m.current;
  m.moved = true;
  const uint64_t generation = b.generation;
  if (++b.arrived == b.expected) {
    b.arrived = 0;
    ++b.generation;
    return;
  }
  while (b.generation == generation) leave(m, f);
}

void prepare(machine& m, unsigned n_threads, size_t shared_bytes) {
  while (m.fibers.size() < n_threads) {
    m.fibers.push_back(std::make_unique<fiber>());
    m.fibers.back()->stack = std::make_unique<std::byte[]>(stack_bytes);
  }
  const unsigned n_warps = (n_threads + warp_size - 1) / warp_size;
  while (m.warps.size() < n_warps) m.warps.push_back(std::make_unique<warp>());
  for (unsigned w = 0; w < n_warps; ++w) {
    const unsigned left = n_threads - w * warp_size;
    m.warps[w]->all = {left < warp_size ? left : warp_size, 0, 0};
  }
  m.block = {n_threads, 0, 0};
  m.shared.reset(new std::byte[shared_bytes]);
  std::memset(m.shared.get(), 0xff, shared_bytes);
}

void begin(machine& m, fiber& f, const place& at, unsigned index) {
  f.at = at;
  f.own_warp = m.warps[index / warp_size].get();
  f.is_done = false;
  f.is_new = true;
  getcontext(&f.rest.context);
  f.rest.context.uc_stack.ss_sp = f.stack.get();
  f.rest.context.uc_stack.ss_size = stack_bytes;
  f.rest.context.uc_link = nullptr;
  makecontext(&f.rest.context, fiber_main, 0);
}

void run_block(machine& m, place at, size_t shared_bytes) {
  const dim3 d = at.block_dim;
  const unsigned n_threads = d.x * d.y * d.z;
  prepare(m, n_threads, shared_bytes);
  for (unsigned i = 0; i < n_threads; ++i) {
    at.thread = {i % d.x, i / d.x % d.y, i / d.x / d.y};
    begin(m, *m.fibers[i], at, i);
  }
  for (unsigned n_left = n_threads; n_left > 0;) {
    m.moved = false;
    n_left = 0;
    for (unsigned i = 0; i < n_threads; ++i) {
      fiber& f = *m.fibers[i];
      if (!f.is_done) enter(m, f);
      n_left += f.is_done ? 0 : 1;
    }
    if (!m.moved) die("threads wait at a barrier that others never reach");
  }
  if (m.block.arrived != 0) die("a thread ended before a barrier");
}

}  // namespace

const place& here() {
  return the_machine().current->at;
}

void* shared_memory() {
  return the_machine().shared.get();
}

void sync_block() {
  wait_at(the_machine().block);
}

void sync_warp() {
  wait_at(the_machine().current->own_warp->all);
}

const std::byte* exchange(const void* value, size_t size) {
  fiber& f = *the_machine().current;
  if (size > exchange_stride) die("too much in one exchange");
  const place& p = f.at;
  const unsigned index = (p.thread.z * p.block_dim.y + p.thread.y) * p.block_dim.x + p.thread.x;
  auto& slots = f.own_warp->slots[f.own_warp->all.generation % 2];
  std::memcpy(slots[index % warp_size], value, size);
  wait_at(f.own_warp->all);
  return &slots[0][0];
}

void run_grid(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& body) {
  if (block.x * block.y * block.z == 0 || block.x * block.y * block.z > 1024) {
    die("a block has 1 to 1024 threads");
  }
  machine& m = the_machine();
  m.body = &body;
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        run_block(m, {{}, {x, y, z}, block, grid}, shared_bytes);
      }
    }
  }
}

}  // namespace llmos::cuda_on_host
