#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.hpp"

namespace llmos {

/// Puts /dev/null where descriptors 0 to 2 are closed, or the first files opened would get their
/// numbers and the program's output. Opened the wrong way round: reading or writing them is still
/// an error. Call it before anything is opened. Returns false when /dev/null cannot be opened.
bool fill_standard_descriptors();

/// Writes all of it to standard output, at once. Errors: io_error; `reader_gone()` when nobody
/// reads any more (`| head`): the program then ends quietly. REQUIRES: SIGPIPE is ignored.
result<void> write_out(std::string_view text);

/// Writes to standard error; when that fails there is nobody left to tell.
void write_error(std::string_view text);

/// What `write_out` returns when the reader of standard output has gone.
failure reader_gone();

/// All of standard input. Errors: invalid_argument when it is a terminal or over `max_bytes`.
result<std::string> read_standard_input(uint64_t max_bytes);

}  // namespace llmos
