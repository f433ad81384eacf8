#pragma once

#include <string>

namespace llmos {

/// What OpenSSL has noted of this thread, newest last, and forgets then; "no reason given" when it
/// has noted nothing.
std::string take_openssl_errors();

}  // namespace llmos
