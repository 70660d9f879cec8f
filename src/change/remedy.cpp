#include "change/remedy.h"

namespace farshore {
namespace {

constexpr std::string_view kDo = "; do: ";

}  // namespace

std::string to_do(std::string_view remedy) {
  return remedy.empty() ? std::string() : std::string(kDo).append(remedy);
}

Told split_remedy(std::string_view text) {
  const auto at = text.find(kDo);
  if (at == std::string_view::npos) return {.why = std::string(text), .remedy = {}};
  return {.why = std::string(text.substr(0, at)),
          .remedy = std::string(text.substr(at + kDo.size()))};
}

}  // namespace farshore
