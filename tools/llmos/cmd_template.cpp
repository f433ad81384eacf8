#include <nlohmann/json.hpp>

#include "runtime/base/json_text.hpp"
#include "runtime/base/read_file.hpp"
#include "runtime/text/chat_template.hpp"
#include "runtime/text/tokenizer.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/model_tools.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

using json = nlohmann::ordered_json;

constexpr uint64_t max_input_bytes = 64u << 20;
constexpr const char* template_key = "tokenizer.chat_template";

struct template_options {
  std::string model;
  std::string template_path;
  std::string messages_path;
  std::string tools_path;
  std::optional<std::string> bos;
  std::optional<std::string> eos;
  bool no_generation_prompt = false;
};

/// A template and the special texts it wants.
struct template_source {
  std::string text;
  std::string bos;
  std::string eos;
};

result<template_source> source_of_model(const node_config& config, const std::string& model) {
  LLMOS_TRY(const auto file, open_model_file(config, model));
  if (file->find(template_key) == nullptr) {
    return failure{ec::not_found, file->path() + " carries no chat template",
                   "give one with --template FILE.jinja"};
  }
  LLMOS_TRY(const std::string_view text, file->get_string(template_key));
  LLMOS_TRY(const auto vocabulary, make_tokenizer(*file));
  const auto special = [&](std::optional<token_id> id) {
    return id ? std::string{vocabulary->vocabulary_text(*id)} : std::string{};
  };
  return template_source{std::string{text}, special(vocabulary->bos()), special(vocabulary->eos())};
}

result<template_source> source_of(const template_options& o, const node_config& config) {
  template_source source;
  if (o.template_path.empty()) {
    LLMOS_TRY(source, source_of_model(config, o.model));
  } else {
    LLMOS_TRY(source.text, read_file(o.template_path, max_input_bytes));
  }
  if (o.bos) source.bos = *o.bos;
  if (o.eos) source.eos = *o.eos;
  return source;
}

result<json> read_array(const std::string& path) {
  LLMOS_TRY(const std::string text, read_file(path, max_input_bytes));
  LLMOS_TRY(json value, parse_json(text, path));
  if (!value.is_array()) {
    return failure{ec::bad_file, path + " holds no JSON array",
                   "write [{\"role\": \"user\", \"content\": \"…\"}]"};
  }
  return value;
}

exit_code run(const template_options& o, const global_options& global) {
  LLMOS_CLI_TRY(const auto config, effective_config(global));
  LLMOS_CLI_TRY(const auto source, source_of(o, config));
  LLMOS_CLI_TRY(const auto program, chat_template::parse(source.text));
  LLMOS_CLI_TRY(const json messages, read_array(o.messages_path));
  json tools;
  if (!o.tools_path.empty()) {
    LLMOS_CLI_TRY(tools, read_array(o.tools_path));
  }
  template_input input;
  input.messages = &messages;
  input.tools = o.tools_path.empty() ? nullptr : &tools;
  input.bos_token = source.bos;
  input.eos_token = source.eos;
  input.add_generation_prompt = !o.no_generation_prompt;
  input.now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  LLMOS_CLI_TRY(const std::string prompt, program.render(input));
  LLMOS_CLI_TRY_VOID(write_out(prompt));
  return exit_code::ok;
}

}  // namespace

void add_template(command_line& line) {
  const auto define = [](CLI::App& app, template_options& o) {
    auto* model =
        app.add_option("-m,--model", o.model, "Whose template; default: the default model")
            ->type_name("FILE|NAME");
    app.add_option("--template", o.template_path, "A template file instead of a model's")
        ->type_name("FILE.jinja")
        ->excludes(model);
    app.add_option("--messages", o.messages_path, "A JSON array of {role, content}")
        ->type_name("FILE.json")
        ->required();
    app.add_option("--tools", o.tools_path, "A JSON array of tools")->type_name("FILE.json");
    app.add_option("--bos", o.bos, "bos_token; default: the model's")->type_name("TEXT");
    app.add_option("--eos", o.eos, "eos_token; default: the model's")->type_name("TEXT");
    app.add_flag("--no-generation-prompt", o.no_generation_prompt,
                 "End after the last message, without the start of an answer");
    app.footer(
        "Prints the prompt that a chat becomes, exactly, without a line end added.\n\n"
        "Examples:\n"
        "  llmos template --messages chat.json\n"
        "  llmos template --template my.jinja --bos '<s>' --messages chat.json");
  };
  add_command<template_options>(line, "template", "Render a chat through a chat template", define,
                                run);
}

}  // namespace llmos
