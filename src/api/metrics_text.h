// MetricsText: writes Prometheus' text exposition format 0.0.4. Samples of one family stand
// together: begin a family, then add its samples.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/views.h"

namespace farshore::api {

class MetricsText {
 public:
  enum class Type { gauge, counter, histogram };
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // `help` in one line. Nothing is written for a family without samples.
  void family(std::string_view name, Type type, std::string_view help);
  void sample(Labels labels, double value);
  // Unknown: no sample.
  template <class Number>
  void sample_if_known(Labels labels, const std::optional<Number>& value) {
    if (value) sample(labels, static_cast<double>(*value));
  }

  void sample_histogram(Labels labels, const HistogramView& histogram);

  const std::string& text() const { return text_; }

 private:
  void line(std::string_view suffix, Labels labels, std::string_view upto, double value);

  std::string text_, name_, head_;
};

}  // namespace farshore::api
