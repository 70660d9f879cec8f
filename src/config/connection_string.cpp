#include "config/connection_string.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "config/value.h"

namespace farshore::config {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

// What libpq of PostgreSQL 15 to 18 knows, without what is refused below.
constexpr std::array<std::string_view, 44> kKeywords{"host",
                                                     "hostaddr",
                                                     "port",
                                                     "dbname",
                                                     "user",
                                                     "passfile",
                                                     "require_auth",
                                                     "channel_binding",
                                                     "connect_timeout",
                                                     "client_encoding",
                                                     "options",
                                                     "fallback_application_name",
                                                     "keepalives",
                                                     "keepalives_idle",
                                                     "keepalives_interval",
                                                     "keepalives_count",
                                                     "tcp_user_timeout",
                                                     "gssencmode",
                                                     "sslmode",
                                                     "requiressl",
                                                     "sslcompression",
                                                     "sslcert",
                                                     "sslkey",
                                                     "sslrootcert",
                                                     "sslcrl",
                                                     "sslcrldir",
                                                     "sslsni",
                                                     "sslnegotiation",
                                                     "sslcertmode",
                                                     "requirepeer",
                                                     "ssl_min_protocol_version",
                                                     "ssl_max_protocol_version",
                                                     "krbsrvname",
                                                     "gsslib",
                                                     "gssdelegation",
                                                     "service",
                                                     "servicefile",
                                                     "target_session_attrs",
                                                     "load_balance_hosts",
                                                     "min_protocol_version",
                                                     "max_protocol_version",
                                                     "sslkeylogfile",
                                                     "oauth_issuer",
                                                     "oauth_client_id"};
constexpr std::array<std::string_view, 3> kSecrets{"password", "sslpassword",
                                                   "oauth_client_secret"};
constexpr std::array<std::string_view, 2> kOurs{"application_name", "replication"};

bool is_space(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

std::string_view without_leading_space(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text;
}

// A value, quoted or not; `text` is left behind it. False when a quote does not end.
bool take_value(std::string_view& text, std::string& value) {
  const bool quoted = !text.empty() && text.front() == '\'';
  if (quoted) text.remove_prefix(1);
  while (!text.empty()) {
    if (quoted ? text.front() == '\'' : is_space(text.front())) break;
    if (text.front() == '\\' && text.size() > 1) text.remove_prefix(1);
    value += text.front();
    text.remove_prefix(1);
  }
  if (!quoted) return true;
  if (text.empty()) return false;
  text.remove_prefix(1);
  return true;
}

Result<Settings> parse_keywords(std::string_view text) {
  Settings settings;
  for (text = without_leading_space(text); !text.empty(); text = without_leading_space(text)) {
    const std::size_t end = std::min(text.find('='), text.size());
    std::string_view keyword = text.substr(0, end);
    while (!keyword.empty() && is_space(keyword.back())) keyword.remove_suffix(1);
    if (end == text.size() || keyword.empty() ||
        std::any_of(keyword.begin(), keyword.end(), is_space))
      return permanent(
          ErrorKind::invalid,
          "is not a connection string: write keyword=value, like host=db.internal dbname=app "
          "(a value with spaces in single quotes)");
    text = without_leading_space(text.substr(end + 1));
    std::string value;
    if (!take_value(text, value))
      return permanent(ErrorKind::invalid, "the quoted value of '{}' does not end", keyword);
    settings.emplace_back(keyword, std::move(value));
  }
  return settings;
}

std::string percent_decoded(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() &&
        std::isxdigit(static_cast<unsigned char>(text[i + 1])) != 0 &&
        std::isxdigit(static_cast<unsigned char>(text[i + 2])) != 0) {
      decoded += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

void add_user(std::string_view user_info, Settings& settings) {
  const std::size_t colon = user_info.find(':');
  settings.emplace_back("user", percent_decoded(user_info.substr(0, colon)));
  if (colon != std::string_view::npos)
    settings.emplace_back("password", "");  // to be refused, not kept
}

// "a:1,[::1]:2" -> host "a,::1", port "1,2"
void add_hosts(std::string_view authority, Settings& settings) {
  std::string hosts;
  std::string ports;
  bool any_port = false;
  for (bool more = !authority.empty(); more;) {
    const std::size_t comma = authority.find(',');
    more = comma != std::string_view::npos;
    const std::string_view one = authority.substr(0, comma);
    const std::size_t bracket = one.find(']');
    const std::size_t colon = one.find(':', bracket == std::string_view::npos ? 0 : bracket);
    std::string_view host = one.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    hosts += percent_decoded(host);
    if (colon != std::string_view::npos) any_port = true, ports += one.substr(colon + 1);
    if (more) hosts += ',', ports += ',', authority.remove_prefix(comma + 1);
  }
  if (!hosts.empty()) settings.emplace_back("host", hosts);
  if (any_port) settings.emplace_back("port", ports);
}

Result<Settings> parse_uri(std::string_view text) {
  Settings settings;
  text.remove_prefix(text.find("://") + 3);
  const std::size_t question = std::min(text.find('?'), text.size());
  std::string_view query = text.substr(question);
  text = text.substr(0, question);
  const std::size_t slash = std::min(text.find('/'), text.size());
  std::string_view authority = text.substr(0, slash);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    add_user(authority.substr(0, at), settings);
    authority.remove_prefix(at + 1);
  }
  add_hosts(authority, settings);
  if (slash + 1 < text.size())
    settings.emplace_back("dbname", percent_decoded(text.substr(slash + 1)));
  if (!query.empty()) query.remove_prefix(1);
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0)
      return permanent(ErrorKind::invalid,
                       "is not a connection URI: what follows '?' is keyword=value&keyword=value");
    settings.emplace_back(percent_decoded(pair.substr(0, equals)),
                          percent_decoded(pair.substr(equals + 1)));
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return settings;
}

template <std::size_t N>
bool holds(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

Result<void> check_keyword(std::string_view keyword) {
  if (holds(kSecrets, keyword))
    return permanent(
        ErrorKind::invalid,
        "holds a secret ({}): take it out of this file; give the password by password_file, "
        "password_env or ~/.pgpass",
        keyword);
  if (holds(kOurs, keyword))
    return permanent(ErrorKind::invalid, "sets {}: Farshore sets it itself, leave it out", keyword);
  if (holds(kKeywords, keyword) || keyword == "ssl") return {};
  return permanent(ErrorKind::invalid, "libpq knows no keyword '{}'{}", keyword,
                   suggestion(keyword, kKeywords));
}

}  // namespace

std::string ConnectionString::get(std::string_view keyword, std::string_view otherwise) const {
  std::string value(otherwise);
  for (const auto& [name, text] : settings)
    if (name == keyword && !text.empty()) value = text;
  return value;
}

std::string ConnectionString::server() const {
  std::string text = get("host", get("hostaddr", "local")) + ":" + get("port", "5432");
  if (const std::string service = get("service"); !service.empty()) text += " service " + service;
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return text;
}

std::string ConnectionString::database() const {
  return server() + "/" + get("dbname");
}

Result<ConnectionString> parse_connection_string(std::string_view text) {
  ConnectionString parsed;
  if (text.starts_with("postgresql://") || text.starts_with("postgres://")) {
    FARSHORE_TRY_ASSIGN(parsed.settings, parse_uri(text));
  } else {
    FARSHORE_TRY_ASSIGN(parsed.settings, parse_keywords(text));
  }
  for (const auto& setting : parsed.settings) FARSHORE_TRY(check_keyword(setting.first));
  if (parsed.get("dbname").empty() && parsed.get("service").empty())
    return permanent(ErrorKind::invalid, "names no database: add dbname=...");
  return parsed;
}

}  // namespace farshore::config
