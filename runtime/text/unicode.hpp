#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace llmos {

/// One step through bytes read as UTF-8, strictly (Unicode, table 3-7).
struct utf8_step {
  uint32_t code_point;  ///< U+FFFD when not valid.
  uint8_t length;       ///< Bytes taken: the character, or the maximal ill-formed subpart (>= 1).
  bool valid;
  bool incomplete;  ///< Not valid, but only because the bytes end here.
};

/// The first step. REQUIRES: !bytes.empty().
utf8_step read_utf8(std::string_view bytes);

/// Appends the UTF-8 form of `code_point`; surrogates get the three bytes of the same scheme.
/// REQUIRES: code_point <= 0x10FFFF.
void append_utf8(uint32_t code_point, std::string& out);

/// The text that byte-level vocabularies encode, with llama.cpp's reading of ill-formed input:
/// overlong forms become their shortest form, encoded surrogates stay, any other byte that is
/// part of no character becomes one U+FFFD. Well-formed text is returned as it is; otherwise
/// the result lies in `storage`.
std::string_view repair_utf8(std::string_view text, std::string& storage);

/// What patterns are matched against: `repaired` with the characters that PCRE2 may classify
/// differently from the field's tokenisers replaced by stand-ins of the same class and the same
/// number of bytes. Offsets into it are offsets into `repaired`; the result is well-formed UTF-8.
/// REQUIRES: `repaired` comes from `repair_utf8`.
std::string_view pattern_subject(std::string_view repaired, std::string& storage);

}  // namespace llmos
