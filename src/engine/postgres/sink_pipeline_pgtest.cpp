// The pipeline of statements on a real server whose socket is mostly full.
#include "engine/postgres/sink_pipeline.h"

#include <gtest/gtest.h>

#include <sys/socket.h>

#include "engine/postgres/test_database.h"
#include "os/thread.h"

namespace farshore::postgres {
namespace {

// Who waits for room, and finds some at once, must not wait for an answer that comes later. The
// server reads what is sent between any two of our calls: many rows meet every moment.
TEST(PipelineOnServer, ACopyGoesOnHoweverTheServerReads) {
  constexpr int kRows = 40'000, kRowBytes = 2'000;
  TestServer& server = shared_server(server_bin_folders().front(), 21200);
  auto connection = *Connection::open(test_world(), {.conninfo = server.conninfo()}, soon());
  ASSERT_TRUE(connection->query("CREATE TEMP TABLE wide (body text)", soon()).ok());
  const int little = 4096;
  ASSERT_EQ(
      ::setsockopt(PQsocket(connection->raw()), SOL_SOCKET, SO_SNDBUF, &little, sizeof little), 0);

  os::Waker waker, done;
  os::Thread watchdog("watchdog", [&](std::stop_token) {
    if (!os::poll_fd(-1, false, false, soon(60s), &done).woken) waker.wake();
  });
  auto pipeline = *Pipeline::start(connection->raw(), waker, 1_MiB);
  ASSERT_TRUE(pipeline->copy_begin("COPY wide FROM STDIN", nullptr).ok());
  const std::string row = std::string(kRowBytes, 'x') + "\n";
  Result<void> sent;
  for (int i = 0; i < kRows && sent.ok(); ++i) sent = pipeline->copy_data(row);
  if (sent.ok()) sent = pipeline->copy_end(kRows);
  done.wake();
  ASSERT_TRUE(sent.ok()) << sent.error().what;
  const auto failure = pipeline->settle();
  ASSERT_TRUE(failure.ok()) << failure.error().what;
  EXPECT_FALSE(failure->has_value());
}

}  // namespace
}  // namespace farshore::postgres
