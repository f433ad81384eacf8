#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>
#include <llmos/client.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace llmos::examples {

/// JSON whose fields keep their order.
using json = nlohmann::ordered_json;

/// Which node a service uses, as whom, and with which model.
struct service_flags {
  std::string place = "127.0.0.1:4747";
  std::string identity;  ///< Folder; empty: ~/.config/llmos/identity.
  std::string name = "client";
  std::string model;  ///< Empty: the node's default.
};

/// --connect, --identity, --client, --model
void add_service_flags(CLI::App& app, service_flags& flags);

/// --seed, of services that draw.
void add_seed(CLI::App& app, uint64_t& seed);

/// Errors: invalid_argument (no HOST:PORT), and those of client::connect.
result<std::unique_ptr<client::client>> connect(const service_flags& flags);

/// What a service does; false when some of it failed and was said.
using work = std::function<result<bool>()>;

/// Reads the command line, does `todo` and returns the exit status, as llmos has them: 0 done,
/// 1 some work failed, 2 wrong use, 3 a file or the node is at fault.
int run_service(CLI::App& app, int argc, char** argv, const work& todo);

/// Says on standard error what failed and how to mend it.
void report(const failure& why);

/// One event on standard output, at once, as a line. Not for two threads at a time.
/// Errors: io_error.
result<void> write_line(const json& event);

/// Hands each line of standard input that is not empty on, with what to call it. One that fails is
/// said and left out, and the rest goes on, unless the error is one that `ends_all`. False when
/// some were left out. Errors: those that end all.
using line_reader = std::function<result<void>(const std::string& line, const std::string& what)>;
result<bool> read_lines(const line_reader& read, const std::function<bool(ec)>& ends_all);

/// An object of JSON. Errors: invalid_argument naming `what`.
result<json> read_object(const std::string& text, const std::string& what);

/// A field that has to be a text. Errors: invalid_argument naming `what` and the field.
result<std::string> text_of(const json& object, const char* field, const std::string& what);

/// Errors: invalid_argument when `text`, which is called `what`, is no UTF-8.
result<void> check_utf8(const std::string& text, const std::string& what);

/// All of a file. Errors: io_error with the reason of the system.
result<std::string> read_whole(const std::string& path);

}  // namespace llmos::examples
