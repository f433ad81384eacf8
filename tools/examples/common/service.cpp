#include "tools/examples/common/service.hpp"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

namespace llmos::examples {

namespace {

/// "host:port", "[::1]:port"
result<void> read_place(const std::string& text, client::options& to) {
  const auto colon = text.rfind(':');
  const char* end = text.data() + text.size();
  const bool has_port = colon != std::string::npos &&
                        std::from_chars(text.data() + colon + 1, end, to.port).ptr == end &&
                        to.port != 0;
  to.host = has_port ? text.substr(0, colon) : "";
  if (to.host.starts_with('[') && to.host.ends_with(']')) {
    to.host = to.host.substr(1, to.host.size() - 2);
  }
  if (!to.host.empty()) return {};
  return failure{ec::invalid_argument, "--connect: \"" + text + "\" is no HOST:PORT",
                 "as in --connect 127.0.0.1:4747"};
}

std::string default_identity() {
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : "") + "/.config/llmos/identity";
}

int exit_status_of(ec code) {
  switch (code) {
    case ec::invalid_argument:
    case ec::over_context:
    case ec::over_limit: return 2;
    case ec::not_found:
    case ec::io_error:
    case ec::bad_file:
    case ec::unsupported: return 3;
    default: return 1;
  }
}

}  // namespace

void add_service_flags(CLI::App& app, service_flags& flags) {
  app.add_option("--connect", flags.place, "Where the node serves; default: " + flags.place)
      ->type_name("HOST:PORT");
  app.add_option("--identity", flags.identity,
                 "Folder of the certificates; default: ~/.config/llmos/identity")
      ->type_name("DIR");
  app.add_option("--client", flags.name, "Whose certificate; default: " + flags.name)
      ->type_name("NAME");
  app.add_option("--model", flags.model, "Default: the node's")->type_name("NAME");
}

void add_seed(CLI::App& app, uint64_t& seed) {
  app.add_option("--seed", seed, "The same seed gives the same answers; default: 1");
}

result<std::unique_ptr<client::client>> connect(const service_flags& flags) {
  client::options to;
  LLMOS_TRY_VOID(read_place(flags.place, to));
  const auto folder = flags.identity.empty() ? default_identity() : flags.identity;
  to.certificate = folder + "/client-" + flags.name + ".crt";
  to.key = folder + "/client-" + flags.name + ".key";
  to.ca = folder + "/ca.crt";
  return client::client::connect(to);
}

int run_service(CLI::App& app, int argc, char** argv, const work& todo) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write, not our end
  try {                           // CLI11 says everything with exceptions
    app.parse(argc, argv);
  } catch (const CLI::Success&) {
    std::cout << app.help() << std::flush;
    return 0;
  } catch (const CLI::ParseError& e) {
    const failure why{ec::invalid_argument, e.what(), app.get_name() + " --help"};
    report(why);
    return exit_status_of(why.code);
  }
  const auto done = todo();
  if (done) return *done ? 0 : 1;
  report(done.error());
  return exit_status_of(done.error().code);
}

void report(const failure& why) {
  std::cerr << "error: " + why.text + "\n" + (why.hint.empty() ? "" : "hint: " + why.hint + "\n");
}

result<void> write_line(const json& event) {
  std::cout << event.dump() + "\n" << std::flush;
  if (std::cout) return {};
  return failure{ec::io_error, "standard output cannot be written", "something has to read it"};
}

result<bool> read_lines(const line_reader& read, const std::function<bool(ec)>& ends_all) {
  bool is_whole = true;
  std::string line;
  for (size_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.empty()) continue;
    const auto did = read(line, "line " + std::to_string(number));
    if (did) continue;
    if (ends_all(did.error().code)) return did.error();
    report(did.error());
    is_whole = false;
  }
  return is_whole;
}

result<json> read_object(const std::string& text, const std::string& what) {
  auto out = json::parse(text, nullptr, false);
  if (out.is_object()) return out;
  return failure{ec::invalid_argument, what + " is no object of JSON",
                 "as in {\"name\": \"text\"}"};
}

result<std::string> text_of(const json& object, const char* field, const std::string& what) {
  const auto found = object.find(field);
  if (found != object.end() && found->is_string()) return found->get<std::string>();
  return failure{ec::invalid_argument, what + " has no text \"" + field + "\"",
                 "add \"" + std::string(field) + "\": \"…\""};
}

result<void> check_utf8(const std::string& text, const std::string& what) {
  // The parser of JSON checks what it is given between quotes.
  std::string quoted = "\"";
  for (const char c : text) {
    const bool is_plain = static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
    quoted += is_plain ? c : ' ';
  }
  if (json::accept(quoted + "\"")) return {};
  return failure{ec::invalid_argument, what + " is no UTF-8", "convert it to UTF-8"};
}

result<std::string> read_whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string out((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in.is_open() && !in.bad()) return out;
  return failure{ec::io_error, path + ": " + std::strerror(errno), "name a file that can be read"};
}

}  // namespace llmos::examples
