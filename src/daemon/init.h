// `farshore init`: a commented farshore.yaml, the CA, and a certificate for each region.
#pragma once

#include "cli/hooks.h"

namespace farshore::daemon {

int init(const cli::InitArguments& arguments, cli::Output output);

}  // namespace farshore::daemon
