#include "runtime/text/pre_tokenizer.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>

#include "runtime/base/check.hpp"
#include "runtime/gguf/printable.hpp"

namespace llmos {

namespace {

// The names and their expressions are llama.cpp's, which wrote the GGUF files: where its reading
// differs from the model's own tokenizer.json, its ids are what users of these files have. All
// expressions are linear in the text; a nested repeat is possessive so that it needs no memory.

constexpr char gpt2[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

#define CONTRACTION R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]))"
#define SPACES R"(\s*[\r\n]+|\s+(?!\S)|\s+)"

constexpr char llama3[] =
    CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" SPACES;

constexpr char qwen2[] =
    CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" SPACES;

constexpr char ufakzeka[] = R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" SPACES;

constexpr char qwen35[] =
    CONTRACTION R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" SPACES;

constexpr char minicpm5[] =
    CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|)" SPACES;

constexpr char jais2[] = CONTRACTION
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
    R"(|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S))"
    R"(|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";

constexpr char seed_coder[] =
    CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|)" SPACES;

constexpr char exaone_moe[] = CONTRACTION
    R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*+(?: \p{L}\p{M}*+)*+)++|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)";

constexpr char bailing[] =
    R"('(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";

// Upper and lower case are told apart in ASCII only.
#define CASED(before, after)                                        \
  R"([^\r\n\p{L}\p{N}]?[^\P{L}a-z]*[^\P{L}A-Z]+)" after             \
  R"(|[^\r\n\p{L}\p{N}]?[^\P{L}a-z]+[^\P{L}A-Z]*)" after "|" before \
  R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" SPACES

constexpr char tekken[] = CASED(R"(\p{N})", "");
constexpr char gpt4o[] = CASED(R"(\p{N}{1,3})", CONTRACTION "?");

// The same letters, in one class.
constexpr char youtu[] = R"([^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+)" CONTRACTION
                         R"(?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" SPACES;
constexpr char youtu_scripts[] =
    R"([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+)"
    R"(|[\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014}\x{FF1A}\x{FF1B}\x{FF0C})"
    R"(\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+)"
    R"(|[\x{4E00}-\x{9FA5}\x{3040}-\x{30FF}]+)";

constexpr char deepseek_v3[] =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|)" SPACES;
constexpr char spark[] =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+)";
constexpr char chinese_japanese[] = R"([\x{4E00}-\x{9FA5}\x{3040}-\x{30FF}]+)";

// White space beyond ASCII is no member of the ranges it lies in.
constexpr char deepseek_cjk[] =
    R"([\x{4E00}-\x{9FA5}\x{0800}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027}\x{202A}-\x{202E})"
    R"(\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
// Letters that have case, as of Unicode 11.
constexpr char deepseek_letters[] =
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386})"
    R"(\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F})"
    R"(\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA})"
    R"(\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15})"
    R"(\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B})"
    R"(\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4})"
    R"(\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4})"
    R"(\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124})"
    R"(\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F})"
    R"(\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4})"
    R"(\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F})"
    R"(\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17})"
    R"(\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3})"
    R"(\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF})"
    R"(\x{1E900}-\x{1E943}]+)";
constexpr char deepseek_punctuation[] =
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3001}-\x{3002}]+)";
constexpr char trailing_space[] = R"((?<!\s)\s+$)";

constexpr char bloom[] = R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)";

struct pattern {
  std::initializer_list<const char*> names;
  std::initializer_list<const char*> stages;
  bool whole_pieces_first = false;
  bool adds_bos = false;
};

const pattern patterns[] = {
    {{"default"}, {R"([\p{P}\$\+<=>\^~\|]+)", gpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
    {{"gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4", "gigachat",
      "a.x-4.0", "mellum", "modern-bert", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de"},
     {gpt2}},
    {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"},
     {R"(\p{N})", gpt2}},
    {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
      "jina-v5-nano"},
     {llama3},
     true,
     true},
    {{"glm4"}, {llama3}, true},
    {{"dbrx", "smaug-bpe", "chatglm-bpe"}, {llama3}},
    {{"jais-2"}, {jais2}},
    {{"qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "solar-open", "megrez", "grok-2",
      "kormo", "f2llmv2"},
     {qwen2}},
    {{"qwen35"}, {qwen35}},
    {{"ufakzeka"}, {ufakzeka}},
    {{"laguna"}, {R"([^\n]+|\n+)", qwen2}},
    {{"minicpm5"}, {R"(\p{N}{1,3})", minicpm5}, true},
    {{"seed-coder"}, {seed_coder}},
    {{"exaone-moe"}, {exaone_moe}},
    {{"bailingmoe", "bailingmoe2", "llada-moe"}, {bailing}},
    {{"tekken"}, {tekken}, true, true},
    {{"youtu"}, {youtu_scripts, youtu}, true},
    {{"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, {gpt4o}},
    {{"deepseek-llm"},
     {R"([\r\n])", deepseek_letters, deepseek_punctuation, trailing_space, deepseek_cjk,
      R"(\p{N}+)"}},
    {{"deepseek-coder"}, {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", deepseek_cjk, R"(\p{N})"}},
    {{"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
     {R"(\p{N}{1,3})", chinese_japanese, deepseek_v3}},
    {{"spark2_5"}, {R"(\p{N}{1,3})", chinese_japanese, spark, R"(\p{N})"}},
    {{"falcon"}, {R"([\p{P}\$\+<=>\^~\|`]+)", gpt2, "[0-9][0-9][0-9]"}},
    {{"bloom", "poro-chat", "gpt3-finnish"}, {bloom}},
    {{"viking"}, {bloom, R"(\p{N})"}},
    {{"chameleon"},
     {"<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", R"([\t\n]|    |  )", R"(\p{N})",
      R"([\p{P}!-/:-@\[-`{-~])", gpt2},
     false,
     true},
};

#undef CASED
#undef SPACES
#undef CONTRACTION

const pattern* find_pattern(std::string_view name) {
  for (const auto& p : patterns) {
    for (const char* n : p.names) {
      if (n == name) return &p;
    }
  }
  return nullptr;
}

}  // namespace

struct compiled_pattern {
  explicit compiled_pattern(const char* source) {
    int error = 0;
    PCRE2_SIZE at = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source), PCRE2_ZERO_TERMINATED,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &error, &at, nullptr);
    LLMOS_CHECK(code != nullptr);  // all sources stand above
    // Without the right to make memory executable PCRE2 interprets, with the same results.
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  }
  ~compiled_pattern() { pcre2_code_free(code); }
  compiled_pattern(const compiled_pattern&) = delete;
  compiled_pattern& operator=(const compiled_pattern&) = delete;

  pcre2_code* code;
};

namespace {

/// Applies the stages to one text, depth first: no list of pieces is ever held.
class splitter {
public:
  splitter(std::span<const std::shared_ptr<const compiled_pattern>> stages,
           std::string_view subject, const pre_tokenizer::sink& out)
      : stages_{stages}, subject_{subject}, out_{out} {
    LLMOS_CHECK(match_ != nullptr && context_ != nullptr);
    // Every expression is linear, so a limit on steps could only refuse long texts.
    pcre2_set_match_limit(context_.get(), std::numeric_limits<uint32_t>::max());
    pcre2_set_heap_limit(context_.get(), 256 * 1024);  // KiB
  }

  /// Returns 0 or PCRE2's error.
  int run(size_t stage, size_t begin, size_t end) {
    if (stage == stages_.size()) return out_(begin, end), 0;
    const auto* at = reinterpret_cast<PCRE2_SPTR>(subject_.data()) + begin;
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match_.get());
    size_t done = begin;
    while (done < end) {
      const int found = pcre2_match(stages_[stage]->code, at, end - begin, done - begin,
                                    PCRE2_NO_UTF_CHECK, match_.get(), context_.get());
      if (found == PCRE2_ERROR_NOMATCH) break;
      if (found < 0) return found;
      const size_t first = begin + bounds[0], last = begin + bounds[1];
      LLMOS_CHECK(last > first);
      if (first > done) {
        if (const int error = run(stage + 1, done, first)) return error;
      }
      if (const int error = run(stage + 1, first, last)) return error;
      done = last;
    }
    return done < end ? run(stage + 1, done, end) : 0;
  }

private:
  std::span<const std::shared_ptr<const compiled_pattern>> stages_;
  std::string_view subject_;
  const pre_tokenizer::sink& out_;
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match_{
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free};
  std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context_{
      pcre2_match_context_create(nullptr), pcre2_match_context_free};
};

}  // namespace

result<pre_tokenizer> pre_tokenizer::make(std::string_view name) {
  const pattern* p = find_pattern(name);
  if (p == nullptr) {
    return failure{
        ec::unsupported, "pre-tokenizer '" + printable(name, 60) + "' is not known",
        "its token ids cannot be guessed; use a model whose tokenizer.ggml.pre is known"};
  }
  pre_tokenizer out;
  out.name_ = name;
  out.whole_pieces_first_ = p->whole_pieces_first;
  out.adds_bos_ = p->adds_bos;
  for (const char* source : p->stages) {
    out.stages_.push_back(std::make_shared<const compiled_pattern>(source));
  }
  return out;
}

std::vector<std::string_view> pre_tokenizer::names() {
  std::vector<std::string_view> out;
  for (const auto& p : patterns) out.insert(out.end(), p.names.begin(), p.names.end());
  return out;
}

result<void> pre_tokenizer::split(std::string_view subject, const sink& out) const {
  const int error = splitter{stages_, subject, out}.run(0, 0, subject.size());
  if (error == 0) return {};
  PCRE2_UCHAR reason[128] = {};
  pcre2_get_error_message(error, reason, sizeof reason);
  return failure{ec::out_of_memory,
                 "pre-tokenizer '" + name_ + "' gave up: " + reinterpret_cast<char*>(reason),
                 "send the text in smaller parts"};
}

}  // namespace llmos
