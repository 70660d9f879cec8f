#include "api/metrics_text.h"

#include <fmt/format.h>

#include <cmath>

namespace farshore::api {
namespace {

std::string escaped(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);  // the shortest text that reads back as the same number
}

const char* text_of(MetricsText::Type type) {
  switch (type) {
    case MetricsText::Type::gauge:
      return "gauge";
    case MetricsText::Type::counter:
      return "counter";
    case MetricsText::Type::histogram:
      return "histogram";
  }
  return "untyped";
}

}  // namespace

void MetricsText::family(std::string_view name, Type type, std::string_view help) {
  name_ = name;
  head_ = fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, text_of(type));
}

void MetricsText::sample(Labels labels, double value) {
  line("", labels, "", value);
}

void MetricsText::sample_histogram(Labels labels, const HistogramView& histogram) {
  for (const auto& [upto, count] : histogram.buckets)
    line("_bucket", labels, number(seconds_of(upto)), static_cast<double>(count));
  line("_bucket", labels, "+Inf", static_cast<double>(histogram.count));
  line("_sum", labels, "", seconds_of(histogram.sum));
  line("_count", labels, "", static_cast<double>(histogram.count));
}

void MetricsText::line(std::string_view suffix, Labels labels, std::string_view upto,
                       double value) {
  text_ += std::exchange(head_, {});
  text_ += fmt::format("{}{}", name_, suffix);
  char before = '{';
  const auto add = [&](std::string_view label, std::string_view label_value) {
    text_ += fmt::format("{}{}=\"{}\"", before, label, escaped(label_value));
    before = ',';
  };
  for (const auto& [label, label_value] : labels) add(label, label_value);
  if (!upto.empty()) add("le", upto);
  if (before == ',') text_ += '}';
  text_ += fmt::format(" {}\n", number(value));
}

}  // namespace farshore::api
