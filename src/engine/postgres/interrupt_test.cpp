// Parts whose server does not answer: an agent that stops does not wait for it.
#include <gtest/gtest.h>

#include "engine/postgres/copy_sink.h"
#include "engine/postgres/heartbeat.h"
#include "engine/postgres/snapshot.h"
#include "os/real/real_world.h"
#include "os/thread.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

namespace farshore::postgres {
namespace {

// Listens, and never accepts.
class SilentServer {
 public:
  SilentServer() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    FARSHORE_CHECK(::bind(fd_, reinterpret_cast<sockaddr*>(&address_), size) == 0 &&
                       ::listen(fd_, 1) == 0 &&
                       ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &size) == 0,
                   "no socket to listen on");
  }
  ~SilentServer() { ::close(fd_); }
  std::string conninfo() const {
    return fmt::format("host=127.0.0.1 port={} dbname=x user=x", ntohs(address_.sin_port));
  }

 private:
  int fd_;
  sockaddr_in address_{};
};

class Interrupt : public testing::Test {
 protected:
  template <class Part, class Call>
  void ends_with_closed(Part& part, Call call) {
    const MonotonicTime began = world_->now();
    os::Thread other("interrupts", [&](std::stop_token) {
      os::poll_fd(-1, false, false, world_->after(100ms));
      part.interrupt();
    });
    for (const char* when : {"under way", "later"}) {
      const auto result = call();
      ASSERT_FALSE(result.ok()) << when;
      EXPECT_EQ(result.error().kind, ErrorKind::closed) << when << ": " << result.error().what;
    }
    EXPECT_LT(world_->now() - began, 5s);
  }

  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  SilentServer server_;
};

TEST_F(Interrupt, EndsTheConnectOfAHeartbeat) {
  auto writer = make_heartbeat_writer(*world_, {.conninfo = server_.conninfo()});
  ends_with_closed(*writer, [&] { return writer->beat(world_->after(20s)); });
}

TEST_F(Interrupt, EndsTheConnectOfASnapshot) {
  auto source = make_snapshot_source(*world_, {.name = "s", .conninfo = server_.conninfo()});
  ends_with_closed(*source, [&] { return source->tables(); });
}

TEST_F(Interrupt, EndsTheConnectOfACopy) {
  auto sink = make_copy_sink(*world_, {.conninfo = server_.conninfo()}, {}, {});
  ends_with_closed(*sink, [&] { return sink->missing(Uuid{}, {}); });
}

}  // namespace
}  // namespace farshore::postgres
