#include "runtime/text/unicode.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "runtime/base/check.hpp"
#include "runtime/base/utf8.hpp"

namespace llmos {

namespace {

constexpr uint32_t replacement = 0xFFFD;

/// Which second bytes may follow a lead byte, and how many bytes follow in all.
struct lead {
  uint8_t trailing;
  uint8_t second_min;
  uint8_t second_max;
};

lead lead_of(uint8_t b) {
  if (b >= 0xC2 && b <= 0xDF) return {1, 0x80, 0xBF};
  if (b == 0xE0) return {2, 0xA0, 0xBF};
  if (b == 0xED) return {2, 0x80, 0x9F};
  if (b >= 0xE1 && b <= 0xEF) return {2, 0x80, 0xBF};
  if (b == 0xF0) return {3, 0x90, 0xBF};
  if (b >= 0xF1 && b <= 0xF3) return {3, 0x80, 0xBF};
  if (b == 0xF4) return {3, 0x80, 0x8F};
  return {0, 0, 0};
}

/// Bytes of plain ASCII at the start of `bytes`.
size_t ascii_prefix(std::string_view bytes) {
  size_t n = 0;
  for (; n + 8 <= bytes.size(); n += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + n, 8);
    if ((word & 0x8080808080808080u) != 0) break;
  }
  while (n < bytes.size() && static_cast<uint8_t>(bytes[n]) < 0x80) ++n;
  return n;
}

/// A step that looks at bit patterns only, so that overlong forms and surrogates pass.
utf8_step read_loosely(std::string_view bytes) {
  const auto b = static_cast<uint8_t>(bytes[0]);
  const size_t trailing = b < 0x80 ? 0 : b < 0xC0 ? 4 : b < 0xE0 ? 1 : b < 0xF0 ? 2 : 3;
  const utf8_step broken{replacement, 1, false, false};
  if (b >= 0xF8 || trailing == 4 || bytes.size() <= trailing) return broken;
  uint32_t x = trailing == 0 ? b : b & (0x3Fu >> trailing);
  for (size_t i = 1; i <= trailing; ++i) {
    const auto c = static_cast<uint8_t>(bytes[i]);
    if ((c & 0xC0) != 0x80) return broken;
    x = x << 6 | (c & 0x3F);
  }
  if (x > 0x10FFFF) return broken;
  return {x, static_cast<uint8_t>(trailing + 1), true, false};
}

/// Characters of Unicode 15 and 15.1, which PCRE2 before 10.43 does not know and the field's
/// tokenisers do; U+180E, which PCRE2 alone counts as space; surrogates, which PCRE2 refuses.
/// Each stand-in has the same general category group, the same length in UTF-8, and lies in the
/// same range of every pattern that names ranges of code points.
struct stand_in {
  uint32_t first, last, use;
};

constexpr uint32_t letter = 0x10300, digit = 0x1D7CE, mark = 0x1D167, punctuation = 0x10100,
                   symbol = 0x1F600, ideograph = 0x20000;

constexpr stand_in stand_ins[] = {
    {0x00CF3, 0x00CF3, 0x0CBC},      {0x00ECE, 0x00ECE, 0x0EC8},    {0x0180E, 0x0180E, 0x200B},
    {0x02FFC, 0x02FFF, 0x2FF0},      {0x031EF, 0x031EF, 0x31E3},    {0x0D800, 0x0DFFF, 0xE000},
    {0x10EFD, 0x10EFF, mark},        {0x1123F, 0x11240, letter},    {0x11241, 0x11241, mark},
    {0x11B00, 0x11B09, punctuation}, {0x11F00, 0x11F01, mark},      {0x11F02, 0x11F02, letter},
    {0x11F03, 0x11F03, mark},        {0x11F04, 0x11F10, letter},    {0x11F12, 0x11F33, letter},
    {0x11F34, 0x11F3A, mark},        {0x11F3E, 0x11F42, mark},      {0x11F43, 0x11F4F, punctuation},
    {0x11F50, 0x11F59, digit},       {0x1342F, 0x1342F, letter},    {0x13440, 0x13440, mark},
    {0x13441, 0x13446, letter},      {0x13447, 0x13455, mark},      {0x1B132, 0x1B132, letter},
    {0x1B155, 0x1B155, letter},      {0x1D2C0, 0x1D2D3, digit},     {0x1DF25, 0x1DF2A, letter},
    {0x1E030, 0x1E06D, letter},      {0x1E08F, 0x1E08F, mark},      {0x1E4D0, 0x1E4EB, letter},
    {0x1E4EC, 0x1E4EF, mark},        {0x1E4F0, 0x1E4F9, digit},     {0x1F6DC, 0x1F6DC, symbol},
    {0x1F774, 0x1F776, symbol},      {0x1F77B, 0x1F77F, symbol},    {0x1F7D9, 0x1F7D9, symbol},
    {0x1FA75, 0x1FA77, symbol},      {0x1FA87, 0x1FA88, symbol},    {0x1FAAD, 0x1FAAF, symbol},
    {0x1FABB, 0x1FABD, symbol},      {0x1FABF, 0x1FABF, symbol},    {0x1FACE, 0x1FACF, symbol},
    {0x1FADA, 0x1FADB, symbol},      {0x1FAE8, 0x1FAE8, symbol},    {0x1FAF7, 0x1FAF8, symbol},
    {0x2B739, 0x2B739, ideograph},   {0x2EBF0, 0x2EE5D, ideograph}, {0x31350, 0x323AF, ideograph},
};

/// The character to match in place of `x`, mostly `x` itself.
uint32_t stand_in_for(uint32_t x) {
  const auto at = std::upper_bound(std::begin(stand_ins), std::end(stand_ins), x,
                                   [](uint32_t y, const stand_in& s) { return y < s.first; });
  if (at == std::begin(stand_ins)) return x;
  return x <= std::prev(at)->last ? std::prev(at)->use : x;
}

}  // namespace

utf8_step read_utf8(std::string_view bytes) {
  const auto b = static_cast<uint8_t>(bytes[0]);
  if (b < 0x80) return {b, 1, true, false};
  const lead l = lead_of(b);
  if (l.trailing == 0) return {replacement, 1, false, false};
  uint32_t x = b & (0x3Fu >> l.trailing);
  for (uint8_t i = 1; i <= l.trailing; ++i) {
    if (i == bytes.size()) return {replacement, i, false, true};
    const auto c = static_cast<uint8_t>(bytes[i]);
    const bool fits = i == 1 ? c >= l.second_min && c <= l.second_max : (c & 0xC0) == 0x80;
    if (!fits) return {replacement, i, false, false};
    x = x << 6 | (c & 0x3F);
  }
  return {x, static_cast<uint8_t>(l.trailing + 1), true, false};
}

void append_utf8(uint32_t code_point, std::string& out) {
  LLMOS_DCHECK(code_point <= 0x10FFFF);
  const auto tail = [&](int shift) {
    out += static_cast<char>(0x80 | (code_point >> shift & 0x3F));
  };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += static_cast<char>(0xC0 | code_point >> 6);
    tail(0);
  } else if (code_point < 0x10000) {
    out += static_cast<char>(0xE0 | code_point >> 12);
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xF0 | code_point >> 18);
    tail(12), tail(6), tail(0);
  }
}

std::string_view repair_utf8(std::string_view text, std::string& storage) {
  const auto invalid = first_invalid_utf8(text);
  if (!invalid) return text;
  storage.assign(text.substr(0, *invalid));
  for (size_t n = *invalid; n < text.size();) {
    const auto step = read_loosely(text.substr(n));
    append_utf8(step.code_point, storage);
    n += step.length;
  }
  return storage;
}

std::string_view pattern_subject(std::string_view repaired, std::string& storage) {
  bool copied = false;
  std::string character;
  for (size_t n = ascii_prefix(repaired); n < repaired.size();
       n += ascii_prefix(repaired.substr(n))) {
    const auto step = read_loosely(repaired.substr(n));
    const uint32_t use = stand_in_for(step.code_point);
    if (use != step.code_point) {
      if (!copied) storage.assign(repaired);
      copied = true;
      character.clear();
      append_utf8(use, character);
      LLMOS_CHECK(character.size() == step.length);
      storage.replace(n, character.size(), character);
    }
    n += step.length;
  }
  return copied ? std::string_view{storage} : repaired;
}

}  // namespace llmos
