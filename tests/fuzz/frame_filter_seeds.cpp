// Writes the first inputs of frame_filter_fuzz: what honest clients say, in whole conversations.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/caf_bytes.hpp"

using namespace llmos;
using namespace llmos::test;

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: frame_filter_seeds FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder{argv[1]};
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, const std::string& bytes) {
    std::ofstream(folder / name, std::ios::binary) << bytes;
  };
  constexpr uint64_t gate = 17, normal = 0x1000000000000000, spawn_server = 0x3ddd66f3376adfb;
  const std::string own = node_bytes(1, 'O'), theirs = node_bytes(2, 'T'), nodes = theirs + own;
  const std::string hands =
      frame_bytes({1}, theirs) + frame_bytes({1, 2}, theirs) +
      frame_bytes({2, 1, 0, 0, 3, spawn_server}, message_bytes("@<>+@atom+@atom+@str"));
  const auto say = [&](uint64_t from, const char* what, uint64_t id = normal) {
    return frame_bytes({2, 0, 0, id, from, gate},
                       message_bytes(std::string("@<>+@atom+llmos::wire::") + what, "12345678"));
  };
  const auto end = [&](uint64_t from, const char* types, const std::string& values) {
    return frame_bytes({5, 0, 0, 0, from}, nodes + error_bytes(types, values));
  };
  write("hello", hands + say(5, "hello", normal | 7));
  write("watched", hands + frame_bytes({4, 0, 0, 0, 0, gate}, nodes) + frame_bytes({6}, ""));
  write("ends", hands + say(5, "query") + end(5, "@<>", "") +
                    end(6, "@<>+@str+@str", text_bytes("why") + text_bytes("")));
  write("many", hands + say(5, "hello") + say(6, "query") + say(7, "query") + say(8, "query") +
                    end(6, "@<>", "") + say(9, "query", 0));
  write("elsewhere", hands + frame_bytes({2, 0, 0, normal, 5, 18}, message_bytes("@<>+@atom")));
  return 0;
}
