// SilentServer: a port that takes connections and never answers, for tests of what waits for a
// server.
#pragma once

#include "engine/postgres/test_port.h"

namespace farshore::postgres {

class SilentServer {
 public:
  std::string conninfo() const { return port_.conninfo(); }
  int port() const { return port_.port(); }

 private:
  TestPort port_;  // nobody accepts
};

}  // namespace farshore::postgres
