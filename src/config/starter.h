// The commented file that `farshore init` writes for people to change. It is valid as it stands.
#pragma once

#include <string>
#include <vector>

namespace farshore::config {

struct StarterChoices {
  std::string name = "shop";                                   // what no name may hold becomes '-'
  std::vector<std::string> regions{"us-east-1", "eu-west-1"};  // the first is the source's
};

std::string starter_yaml(const StarterChoices& choices);

}  // namespace farshore::config
