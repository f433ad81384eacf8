#include "runtime/security/openssl_error.hpp"

#include <openssl/err.h>

namespace llmos {

std::string take_openssl_errors() {
  std::string out;
  while (const unsigned long code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    out += out.empty() ? "" : "; ";
    out += reason != nullptr ? reason : "error " + std::to_string(code);
  }
  return out.empty() ? "no reason given" : out;
}

}  // namespace llmos
