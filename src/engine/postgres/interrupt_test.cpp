// Parts whose server does not answer: an agent that stops does not wait for it.
#include <gtest/gtest.h>

#include "engine/postgres/copy_sink.h"
#include "engine/postgres/heartbeat.h"
#include "engine/postgres/site.h"
#include "engine/postgres/snapshot.h"
#include "engine/postgres/test_silent_server.h"
#include "os/real/real_world.h"
#include "os/thread.h"

namespace farshore::postgres {
namespace {

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

TEST_F(Interrupt, EndsTheConnectOfASite) {
  auto site = make_site(*world_, {.name = "s", .connect = {.conninfo = server_.conninfo()}});
  ends_with_closed(*site, [&] { return site->describe(); });
}

}  // namespace
}  // namespace farshore::postgres
