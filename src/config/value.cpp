#include "config/value.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/nearest.h"
#include "config/connection_string.h"

namespace farshore::config {
namespace {

constexpr std::size_t kTextMax = 4096;
constexpr std::size_t kPatternMax = 200;  // two names of 63 bytes, a dot, and room
constexpr std::array<std::string_view, 1> kEngines{"postgres"};

template <class... Visitor>
struct Overloaded : Visitor... {
  using Visitor::operator()...;
};
template <class... Visitor>
Overloaded(Visitor...) -> Overloaded<Visitor...>;

bool is_alnum(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<double> parse_percent(std::string_view text) {
  const Error bad = permanent(ErrorKind::invalid, "'{}' is not a percentage like 99.9%", text);
  if (text.empty() || text.back() != '%') return bad;
  const auto value = number_of<double>(text.substr(0, text.size() - 1));
  if (!value || !std::isfinite(*value) || *value < 0) return bad;
  return *value;
}

Result<std::uint64_t> parse_size(std::string_view text) {
  if (!text.empty() && text.back() == '%')
    return permanent(
        ErrorKind::invalid,
        "'{}': the size of the disk cannot be asked from here: write a size like 50GiB", text);
  return parse_bytes(text);
}

Result<bool> parse_flag(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return permanent(ErrorKind::invalid, "'{}' is neither true nor false", text);
}

Result<int> parse_count(std::string_view text) {
  if (const auto value = number_of<int>(text)) return *value;
  return permanent(ErrorKind::invalid, "'{}' is not a whole number", text);
}

Result<void> check_name(std::string_view text) {
  const bool fits = text.size() <= kNameMax && is_alnum(text.front()) && is_alnum(text.back()) &&
                    std::all_of(text.begin(), text.end(),
                                [](char c) { return is_alnum(c) || c == '-' || c == '_'; });
  if (fits) return {};
  return permanent(ErrorKind::invalid,
                   "'{}' is not a name: at most {} letters, digits, '-' and '_', the first and "
                   "last a letter or digit",
                   text, kNameMax);
}

Result<void> check_environment_name(std::string_view text) {
  const bool fits =
      std::isdigit(static_cast<unsigned char>(text.front())) == 0 &&
      std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '_'; });
  if (fits) return {};
  // The value may be the password itself, written into the wrong key.
  return permanent(ErrorKind::invalid,
                   "not the name of an environment variable, like ORDERS_PASSWORD");
}

Result<void> check_pattern(std::string_view text) {
  if (text.size() > kPatternMax)
    return permanent(ErrorKind::invalid, "is longer than {} bytes", kPatternMax);
  if (text.find('"') != std::string_view::npos)
    return permanent(ErrorKind::invalid,
                     "'{}': write names without double quotes, as the catalog shows them", text);
  const std::size_t dot = text.find('.');
  if (dot != std::string_view::npos && dot > 0 && dot + 1 < text.size()) return {};
  return permanent(ErrorKind::invalid, "'{}' names no schema: write schema.table, like public.{}",
                   text, dot == std::string_view::npos ? text : "*");
}

Result<void> check_path(std::string_view text) {
  if (text.front() != '~') return {};
  return permanent(ErrorKind::invalid, "'{}': '~' means nothing here, write the whole path", text);
}

Result<void> check_form(Form form, std::string_view text) {
  if (text.empty()) return permanent(ErrorKind::invalid, "is empty");
  if (text.size() > kTextMax)
    return permanent(ErrorKind::invalid, "is longer than {} bytes", kTextMax);
  switch (form) {
    case Form::value:
    case Form::list:
      return {};
    case Form::name:
      return check_name(text);
    case Form::engine:
      if (std::find(kEngines.begin(), kEngines.end(), text) != kEngines.end()) return {};
      return permanent(ErrorKind::invalid, "'{}' is no engine of this version: postgres{}", text,
                       suggestion(text, kEngines));
    case Form::address:
      FARSHORE_TRY(parse_address(text));
      return {};
    case Form::path:
      return check_path(text);
    case Form::connection:
      FARSHORE_TRY(parse_connection_string(text));
      return {};
    case Form::environment:
      return check_environment_name(text);
    case Form::pattern:
      return check_pattern(text);
  }
  return {};
}

template <class Value, class Parse>
Result<void> read_bounded(Value& field, const Bounds& bounds, std::string_view text, Parse parse) {
  FARSHORE_TRY_ASSIGN(const Value value, parse(text));
  const bool below = !bounds.min.empty() && value < *parse(bounds.min);
  const bool above = !bounds.max.empty() && value > *parse(bounds.max);
  if (below || above)
    return permanent(ErrorKind::invalid, "{} is out of bounds: {}", text, text_of(bounds));
  field = value;
  return {};
}

Result<void> read_choice(const Choice& choice, std::string_view text) {
  const auto word = std::find(choice.words.begin(), choice.words.end(), text);
  if (word == choice.words.end())
    return permanent(ErrorKind::invalid, "'{}' is none of {}{}", text,
                     fmt::join(choice.words, ", "), suggestion(text, choice.words));
  choice.set(static_cast<std::size_t>(word - choice.words.begin()));
  return {};
}

struct Unit {
  std::uint64_t size;
  std::string_view name;
};

// The largest unit that leaves no remainder, so that nothing is lost.
template <std::size_t N>
std::string show_exactly(std::uint64_t value, const std::array<Unit, N>& units) {
  for (const Unit& unit : units)
    if (value >= unit.size && value % unit.size == 0)
      return fmt::format("{}{}", value / unit.size, unit.name);
  return fmt::format("0{}", units.back().name);
}

std::string show_duration(Duration d) {
  constexpr std::uint64_t kDay = 86'400'000'000'000;
  constexpr std::array<Unit, 6> units{{{3'600'000'000'000, "h"},
                                       {60'000'000'000, "m"},
                                       {1'000'000'000, "s"},
                                       {1'000'000, "ms"},
                                       {1'000, "us"},
                                       {1, "ns"}}};
  const auto value = static_cast<std::uint64_t>(d.count());
  if (value == 0) return "0s";
  if (value >= 7 * kDay && value % kDay == 0) return fmt::format("{}d", value / kDay);
  return show_exactly(value, units);
}

std::string show_bytes(std::uint64_t value) {
  constexpr std::array<Unit, 8> units{{{1ULL << 40, "TiB"},
                                       {1_GiB, "GiB"},
                                       {1_MiB, "MiB"},
                                       {1'000'000'000'000, "TB"},
                                       {1'000'000'000, "GB"},
                                       {1'000'000, "MB"},
                                       {1_KiB, "KiB"},
                                       {1, "B"}}};
  return show_exactly(value, units);
}

}  // namespace

std::string suggestion(std::string_view typed, std::span<const std::string_view> known) {
  const std::string word = nearest_word(typed, known);
  return word.empty() ? "" : fmt::format("; did you mean '{}'?", word);
}

std::string text_of(const Bounds& bounds) {
  if (bounds.max.empty()) return bounds.min.empty() ? "" : fmt::format("at least {}", bounds.min);
  if (bounds.min.empty()) return fmt::format("at most {}", bounds.max);
  return fmt::format("{} to {}", bounds.min, bounds.max);
}

Result<Address> parse_address(std::string_view text) {
  const Error bad =
      permanent(ErrorKind::invalid, "'{}' is not an address like us-east.internal:7432", text);
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad;
  std::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return permanent(ErrorKind::invalid, "'{}': an IPv6 address stands in brackets: [{}]:{}", text,
                     host, text.substr(colon + 1));
  }
  const bool fits = !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    return is_alnum(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '%';
  });
  if (!fits) return bad;
  const auto port = number_of<int>(text.substr(colon + 1));
  if (!port) return bad;
  if (*port < 1 || *port > 65535)
    return permanent(ErrorKind::invalid, "'{}': port {} is out of bounds: 1 to 65535", text, *port);
  return Address{std::string(host), *port};
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

Result<void> read_value(const Field& field, Form form, const Bounds& bounds,
                        std::string_view text) {
  FARSHORE_TRY(check_form(form, text));
  const auto read = [&](auto* into, auto parse) {
    return read_bounded(*into, bounds, text, parse);
  };
  const auto assign = [](auto& into, auto parsed) -> Result<void> {
    FARSHORE_TRY_ASSIGN(into, std::move(parsed));
    return {};
  };
  return std::visit(
      Overloaded{
          [&](std::string* into) -> Result<void> { return into->assign(text), Result<void>(); },
          [&](Duration* into) { return read(into, parse_duration); },
          [&](std::uint64_t* into) { return read(into, parse_size); },
          [&](double* into) { return read(into, parse_percent); },
          [&](int* into) { return read(into, parse_count); },
          [&](bool* into) { return assign(*into, parse_flag(text)); },
          [&](Uuid* into) { return assign(*into, Uuid::parse(text)); },
          [&](const Choice& choice) { return read_choice(choice, text); },
      },
      field);
}

std::string show_value(const Field& field) {
  return std::visit(
      Overloaded{
          [](const std::string* from) { return *from; },
          [](const Duration* from) { return show_duration(*from); },
          [](const std::uint64_t* from) { return show_bytes(*from); },
          [](const double* from) { return fmt::format("{}%", *from); },
          [](const int* from) { return fmt::format("{}", *from); },
          [](const bool* from) { return std::string(*from ? "true" : "false"); },
          [](const Uuid* from) { return from->is_nil() ? std::string() : from->text(); },
          [](const Choice& from) { return std::string(from.words[from.get()]); },
      },
      field);
}

std::string type_of(const Field& field, Form form) {
  switch (form) {
    case Form::name:
      return "name";
    case Form::engine:
      return "postgres";
    case Form::address:
      return "host:port";
    case Form::path:
      return "path";
    case Form::connection:
      return "libpq connection string";
    case Form::environment:
      return "variable name";
    case Form::pattern:
      return "pattern";
    case Form::list:
      return "list";
    case Form::value:
      break;
  }
  return std::visit(
      Overloaded{
          [](const std::string*) -> std::string { return "text"; },
          [](const Duration*) -> std::string { return "duration"; },
          [](const std::uint64_t*) -> std::string { return "size"; },
          [](const double*) -> std::string { return "percentage"; },
          [](const int*) -> std::string { return "number"; },
          [](const bool*) -> std::string { return "true or false"; },
          [](const Uuid*) -> std::string { return "UUID"; },
          [](const Choice& from) { return fmt::format("{}", fmt::join(from.words, " or ")); },
      },
      field);
}

}  // namespace farshore::config
