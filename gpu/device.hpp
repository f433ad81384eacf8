#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "runtime/base/result.hpp"

struct CUevent_st;
struct CUgraphExec_st;
struct CUstream_st;

namespace llmos::gpu {

/// A CUDA stream as the CUDA runtime names it; kernels take it as their last argument.
using stream_handle = CUstream_st*;

/// Gives back to CUDA what it made.
struct give_back {
  void operator()(CUevent_st* x) const;
  void operator()(CUstream_st* x) const;
  void operator()(CUgraphExec_st* x) const;
};
struct free_device {
  void operator()(void* x) const;
};
struct free_pinned {
  void operator()(void* x) const;
};

struct device_info {
  std::string name;
  std::string compute;        ///< Compute capability, "9.0"; `-Dgpu_arch` must name it.
  uint64_t memory_bytes = 0;  ///< All of the device's memory.
  uint32_t n_processors = 0;  ///< Streaming multiprocessors.
};

/// CUDA devices that this process can use: 0 without a device or a driver.
int device_count();

/// Errors: not_found (no such device).
result<device_info> describe(int device);

/// Makes `device` the one this thread means from now on. An executor says it once, on its thread.
/// Errors: as describe().
result<void> use(int device);

/// Memory that may still be taken on a device, in bytes. Errors: as describe().
result<uint64_t> free_bytes(int device);

/// Bytes a second at which a device reads its memory: measured by copying 128 MiB within it, the
/// best of three times, which reads and writes that much. Errors: as describe(), out_of_memory.
result<double> read_speed(int device);

/// A stream on the device in use. Work on one stream runs in order; streams are independent.
class stream {
public:
  static result<stream> create();

  stream_handle handle() const { return handle_.get(); }

  /// Waits for everything on this stream, and tells of the first thing there that failed.
  result<void> synchronize() const;

private:
  explicit stream(stream_handle handle) : handle_(handle) {}
  std::unique_ptr<CUstream_st, give_back> handle_;
};

/// A point in the work of a stream.
class event {
public:
  static result<event> create();

  /// From now on it stands behind what is on the stream.
  result<void> record(const stream& s);

  /// Waits, asleep, for what stands before it; on any thread. Tells of what failed there.
  result<void> synchronize() const;

private:
  explicit event(CUevent_st* handle) : handle_(handle) {}
  std::unique_ptr<CUevent_st, give_back> handle_;
};

/// Work of a stream, recorded once, that starts again at the price of one launch.
class graph {
public:
  /// Records what `work` puts on `s`; nothing of it runs. Work must not wait or allocate. Errors:
  /// those of work.
  static result<graph> record(const stream& s, const std::function<result<void>()>& work);

  /// Runs it again, with what its memory holds then.
  result<void> launch(stream_handle s) const;

private:
  explicit graph(CUgraphExec_st* handle) : handle_(handle) {}
  std::unique_ptr<CUgraphExec_st, give_back> handle_;
};

/// Memory of the device in use; for set-up, not for steps: allocating stops the device.
class buffer {
public:
  /// `size_bytes` uninitialised bytes. Errors: out_of_memory (says how many were asked for).
  static result<buffer> create(size_t size_bytes);

  size_t size_bytes() const { return size_bytes_; }

  /// The device address; the host cannot read through it.
  template <class T>
  T* data() const {
    return static_cast<T*>(data_.get());
  }

  /// Copies between host and device, in order with `s`; `at` counts bytes from the beginning. The
  /// host memory must stay until `s` was synchronised. REQUIRES: at + n_bytes <= size_bytes().
  result<void> copy_from_host(size_t at, const void* host, size_t n_bytes, stream_handle s);
  result<void> copy_to_host(size_t at, void* host, size_t n_bytes, stream_handle s) const;
  /// Copies within the buffer. REQUIRES: both ranges are inside and do not overlap.
  result<void> copy_within(size_t to, size_t from, size_t n_bytes, stream_handle s);
  /// Zeros everywhere, in order with `s`.
  result<void> clear(stream_handle s);

private:
  buffer(void* data, size_t size_bytes) : data_(data), size_bytes_(size_bytes) {}
  std::unique_ptr<void, free_device> data_;
  size_t size_bytes_;
};

/// Memory of the host that the device copies from and to without the host's help.
class pinned {
public:
  /// Errors: out_of_memory (says how many bytes were asked for).
  static result<pinned> create(size_t size_bytes);

  template <class T>
  T* data() const {
    return static_cast<T*>(data_.get());
  }

private:
  explicit pinned(void* data) : data_(data) {}
  std::unique_ptr<void, free_pinned> data_;
};

}  // namespace llmos::gpu
