#include "engine/postgres/standby_names.h"

#include <algorithm>
#include <optional>

namespace farshore::postgres {
namespace {

enum class TokenKind : std::uint8_t { name, number, comma, open, close };

struct Token {
  TokenKind kind;
  std::string text;
  bool quoted = false;
};

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool continues_name(char c) {
  const char small = lower(c);
  return (small >= 'a' && small <= 'z') || is_digit(c) || c == '_' || c == '$' ||
         (static_cast<unsigned char>(c) & 0x80U) != 0;
}

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

// A quoted name; a quote inside stands twice.
std::optional<Token> quoted(std::string_view text, std::size_t& at) {
  Token token{TokenKind::name, "", true};
  for (++at; at < text.size(); ++at) {
    if (text[at] == '"') {
      ++at;
      if (at >= text.size() || text[at] != '"') return token;
    }
    token.text += text[at];
  }
  return std::nullopt;
}

std::optional<std::vector<Token>> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (is_space(c)) {
      ++at;
    } else if (c == ',' || c == '(' || c == ')' || c == '*') {
      tokens.push_back({c == ','   ? TokenKind::comma
                        : c == '(' ? TokenKind::open
                        : c == ')' ? TokenKind::close
                                   : TokenKind::name,
                        std::string(1, c)});
      ++at;
    } else if (c == '"') {
      auto token = quoted(text, at);
      if (!token) return std::nullopt;
      tokens.push_back(*std::move(token));
    } else if (continues_name(c) && c != '$') {
      const std::size_t begin = at;
      while (at < text.size() && (is_digit(c) ? is_digit(text[at]) : continues_name(text[at])))
        ++at;
      tokens.push_back({is_digit(c) ? TokenKind::number : TokenKind::name,
                        std::string(text.substr(begin, at - begin))});
    } else {
      return std::nullopt;
    }
  }
  return tokens;
}

bool is_word(const Token& token, std::string_view word) {
  return token.kind == TokenKind::name && !token.quoted && same(token.text, word);
}

}  // namespace

std::vector<std::string> standby_names(std::string_view setting) {
  const auto tokens = tokens_of(setting);
  if (!tokens) return {};
  auto at = tokens->begin();
  auto end = tokens->end();
  const auto is = [&](std::ptrdiff_t place, TokenKind kind) {
    return end - at > place && at[place].kind == kind;
  };
  std::ptrdiff_t count = -1;  // where the number stands
  if (is(0, TokenKind::number) && is(1, TokenKind::open)) count = 0;
  if (is(1, TokenKind::number) && is(2, TokenKind::open) &&
      (is_word(at[0], "any") || is_word(at[0], "first")))
    count = 1;
  if (count >= 0) {
    if ((end - 1)->kind != TokenKind::close) return {};
    at += count + 2;
    --end;
  }
  std::vector<std::string> names;
  for (bool name = true; at != end; ++at, name = !name) {
    const bool fits = name ? at->kind == TokenKind::name || at->kind == TokenKind::number
                           : at->kind == TokenKind::comma;
    if (!fits) return {};
    if (name) names.push_back(at->text);
  }
  return names;
}

bool names_standby(std::string_view setting, std::string_view application_name) {
  return std::ranges::any_of(standby_names(setting), [&](const std::string& name) {
    return name == "*" || same(name, application_name);
  });
}

}  // namespace farshore::postgres
