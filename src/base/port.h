// Port: the base of every interface that has more than one implementation. Ports have 2 to 8 verbs
// and a contract test.
#pragma once

namespace farshore {

struct Port {
  Port() = default;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  virtual ~Port() = default;
};

}  // namespace farshore
