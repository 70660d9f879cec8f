// Port: the base of every interface that has more than one implementation. Ports have few verbs, at
// most ten. A fake that stands for the real one in the simulation or in tests of other modules
// passes the port's contract (*_contract.h) as the real one does, and says where it is defined what
// it does not cover. Stubs that do nothing, or only count, pass none.
#pragma once

namespace farshore {

struct Port {
  Port() = default;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  virtual ~Port() = default;
};

}  // namespace farshore
