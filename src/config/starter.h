// The commented file that `farshore init` writes for people to change. It is valid as it stands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace farshore::config {

struct StarterChoices {
  std::string name = "shop";                                   // as legal_name() makes it
  std::vector<std::string> regions{"us-east-1", "eu-west-1"};  // the first is the source's
};

// A text, a folder's name say, as the reader takes it: what no name may hold becomes '-'; "shop"
// when nothing is left.
std::string legal_name(std::string_view text);

std::string starter_yaml(const StarterChoices& choices);

}  // namespace farshore::config
