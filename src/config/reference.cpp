#include "config/reference.h"

#include "config/keys.h"

namespace farshore::config {
namespace {

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c;
  }
  return result;
}

template <class Struct>
std::string type_text(const Key<Struct>& key, Struct& usual) {
  std::string text = key.field == nullptr ? "list" : type_of(key.field(usual), key.form);
  if (const std::string bounds = text_of(key.bounds); !bounds.empty()) text += ", " + bounds;
  return escaped(text);
}

template <class Struct>
std::string default_text(const Key<Struct>& key, const Struct& usual) {
  if (key.required) return "**required**";
  if (key.field == nullptr) return "";
  return show(key, usual);
}

template <class Struct>
std::string table(std::string_view title, std::span<const Key<Struct>> keys) {
  Struct usual;
  std::string text = fmt::format(
      "### {}\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n", title);
  for (const Key<Struct>& key : keys) {
    const std::string usually = default_text(key, usual);
    text += fmt::format(
        "| `{}` | {} | {} | {}{} |\n", key.name, type_text(key, usual),
        usually.empty() || key.required ? usually : "`" + usually + "`", escaped(key.help),
        key.no_effect_yet ? " *(read and kept; this version does not act on it yet)*" : "");
  }
  return text;
}

std::string file_table() {
  std::string text = "### The file\n\n| key | meaning |\n| --- | --- |\n";
  for (const Key<Config>& key : file_keys())
    text += fmt::format("| `{}` | {}{} |\n", key.name, key.required ? "**required**: " : "",
                        escaped(key.help));
  return text;
}

}  // namespace

std::string reference_markdown() {
  return file_table() + "\n" + table("`regions.NAME`", region_keys()) + "\n" +
         table("`sites.NAME`", site_keys()) + "\n" +
         table("`streams.NAME`, and `defaults`", stream_keys()) + "\n" +
         table("`streams.NAME.to[]`", target_keys()) + "\n" +
         table("`streams.NAME.tables[]`", rule_keys()) + "\n" + table("`link`", link_keys());
}

}  // namespace farshore::config
