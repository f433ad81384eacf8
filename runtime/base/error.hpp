#pragma once

#include <cstdint>
#include <string>

namespace llmos {

/// Every way a request, a file or a command can fail. `none` is 0: CAF treats code 0 as "no error".
enum class ec : uint8_t {
  none = 0,
  invalid_argument,   ///< The caller passed a value out of range; the caller must change it.
  not_found,          ///< A named file, model, tensor or process does not exist.
  io_error,           ///< The operating system refused a read or write.
  bad_file,           ///< A file's bytes contradict each other or the format; get another copy.
  unsupported,        ///< Well-formed, but this build does not know the named feature.
  over_context,       ///< prompt + max_tokens exceed the context; shorten one of them.
  out_of_memory,      ///< No block or byte left in a configured pool; retry later or enlarge it.
  overloaded,         ///< A queue is at its limit; retry after the hinted time.
  cancelled,          ///< Ended by its owner, or its owner vanished.
  deadline_exceeded,  ///< The request's deadline passed.
  shutting_down,      ///< The system is draining; no new work.
  engine_failed,      ///< The engine died too often to finish the request.
  over_limit,         ///< An input costs more than a fixed limit allows; make it smaller.
  internal,           ///< A bug in llmos; the text says where.
  count_,             ///< Number of codes; keep last.
};

/// Stable lower-case name of a code ("over_context"); "unknown" for a byte that is no code.
const char* to_string(ec x);

/// Why something failed: the code decides, the text names the thing, the hint names the mend.
struct failure {
  ec code = ec::none;
  std::string text;
  std::string hint;

  friend bool operator==(const failure&, const failure&) = default;
};

/// "bad_file: model.gguf: tensor 'x' ends past the file (hint)": one line for a person.
std::string to_string(const failure& x);

}  // namespace llmos
