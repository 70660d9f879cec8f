#include "os/real/real_world.h"

#include <csignal>

#include "os/real/real_parts.h"

namespace farshore::os {
namespace {

class RealWorld : public World {
 public:
  explicit RealWorld(std::optional<TlsFiles> tls) : network_(make_real_network(std::move(tls))) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets without MSG_NOSIGNAL
  }
  Clock& clock() override { return *clock_; }
  Random& random() override { return *random_; }
  Files& files() override { return *files_; }
  Network& network() override { return *network_; }

 private:
  std::unique_ptr<Clock> clock_ = make_real_clock();
  std::unique_ptr<Random> random_ = make_real_random();
  std::unique_ptr<Files> files_ = make_real_files();
  std::unique_ptr<Network> network_;
};

}  // namespace

std::unique_ptr<World> make_real_world(std::optional<TlsFiles> tls) {
  return std::make_unique<RealWorld>(std::move(tls));
}

}  // namespace farshore::os
