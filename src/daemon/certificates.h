// `farshore cert show` and `cert renew`.
#pragma once

#include "cli/hooks.h"

namespace farshore::daemon {

int show_certificates(const cli::CertShowArguments& arguments, cli::Output output);
int renew_certificates(const cli::CertRenewArguments& arguments, cli::Output output);

}  // namespace farshore::daemon
