// Door: who may ask. With a token, who shows it; without one (loopback only), who names us by a
// loopback address: a web page whose name was rebound to 127.0.0.1 does not.
#pragma once

#include <string>

#include "api/options.h"
#include "api/routes.h"
#include "base/result.h"

namespace farshore::api {

class Door {
 public:
  // Reads the token. denied: others may read its file; invalid: too short; not_found.
  static Result<Door> make(const Options& options);

  // denied: says what is missing. /healthz and /readyz are open to all.
  Result<void> admit(const Request& request) const;

 private:
  std::string token_;  // empty: none is asked for
};

}  // namespace farshore::api
