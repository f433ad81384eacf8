#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "tests/support/cuda/cuda_runtime.h"

// Streams are queues that run when somebody waits for them.

using work = std::function<void()>;

struct CUgraph_st {
  std::vector<work> nodes;
};
struct CUgraphExec_st {
  std::vector<work> nodes;
};
struct CUstream_st {
  void push(work w) {
    const std::lock_guard lock(mutex);
    queue.push_back(std::move(w));
    ++num_pushed;
  }
  uint64_t end() {
    const std::lock_guard lock(mutex);
    return num_pushed;
  }
  /// Runs the first `n` of all that was ever pushed, as far as they have not run.
  void run_until(uint64_t n) {
    const std::lock_guard one_at_a_time(running);
    for (; num_run < n; ++num_run) pop()();
  }

  std::unique_ptr<CUgraph_st> capturing;

private:
  work pop() {
    const std::lock_guard lock(mutex);
    work next = std::move(queue.front());
    queue.pop_front();
    return next;
  }

  std::mutex mutex, running;
  std::deque<work> queue;
  uint64_t num_pushed = 0, num_run = 0;
};
struct CUevent_st {
  cudaStream_t stream = nullptr;
  uint64_t at = 0;
};

namespace {

constexpr size_t device_bytes = size_t{2} << 30;
constexpr size_t usual_shared = 48 << 10, most_shared = 227 << 10;

/// Everything that the device holds; exact allocations of the host's heap.
struct device_memory {
  std::map<void*, size_t> sizes;
  size_t used = 0;
};
device_memory& memory() {
  static device_memory m;
  return m;
}
std::map<const void*, size_t>& shared_limits() {
  static std::map<const void*, size_t> limits;
  return limits;
}

}  // namespace

namespace llmos::cuda_on_host {

cudaError_t enqueue(cudaStream_t stream, work w) {
  if (stream->capturing) {
    stream->capturing->nodes.push_back(std::move(w));
  } else {
    stream->push(std::move(w));
  }
  return cudaSuccess;
}

cudaError_t check_shared(const void* kernel, size_t shared_bytes) {
  const auto it = shared_limits().find(kernel);
  const size_t limit = it == shared_limits().end() ? usual_shared : it->second;
  return shared_bytes <= std::max(limit, usual_shared) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t allow_shared(const void* kernel, size_t shared_bytes) {
  if (shared_bytes > most_shared) return cudaErrorInvalidValue;
  shared_limits()[kernel] = shared_bytes;
  return cudaSuccess;
}

}  // namespace llmos::cuda_on_host

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    default: return "invalid argument";
  }
}
cudaError_t cudaGetLastError() {
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* out, int device) {
  if (device != 0) return cudaErrorInvalidDevice;
  *out = {"kernels on the host", device_bytes, most_shared, 4, 9, 0};
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = device_bytes;
  *free = device_bytes - memory().used;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** out, size_t size) {
  if (size > device_bytes - memory().used) return cudaErrorMemoryAllocation;
  if (posix_memalign(out, 256, size) != 0) return cudaErrorMemoryAllocation;
  std::memset(*out, 0xff, size);  // NaN of every float type
  memory().sizes[*out] = size;
  memory().used += size;
  return cudaSuccess;
}
cudaError_t cudaFree(void* at) {
  const auto it = memory().sizes.find(at);
  if (it == memory().sizes.end()) return cudaErrorInvalidValue;
  memory().used -= it->second;
  memory().sizes.erase(it);
  std::free(at);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** out, size_t size) {
  *out = std::malloc(size);
  return *out != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFreeHost(void* at) {
  std::free(at);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind,
                            cudaStream_t stream) {
  return llmos::cuda_on_host::enqueue(stream, [=] { std::memcpy(to, from, size); });
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t size, cudaStream_t stream) {
  return llmos::cuda_on_host::enqueue(stream, [=] { std::memset(to, value, size); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned) {
  *out = new CUstream_st;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  stream->run_until(stream->end());
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream->capturing) return cudaErrorInvalidValue;
  stream->run_until(stream->end());
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned) {
  *out = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  *event = {stream, stream->end()};
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->stream != nullptr) event->stream->run_until(event->at);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream->capturing) return cudaErrorInvalidValue;
  stream->capturing = std::make_unique<CUgraph_st>();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* out) {
  if (!stream->capturing) return cudaErrorInvalidValue;
  *out = stream->capturing.release();
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long) {
  *out = new CUgraphExec_st{graph->nodes};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  for (const work& w : graph->nodes) llmos::cuda_on_host::enqueue(stream, w);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete graph;
  return cudaSuccess;
}
