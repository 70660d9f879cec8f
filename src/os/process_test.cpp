#include "os/process.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "os/real/real_world.h"
#include "os/real/test_folder.h"

namespace farshore::os {
namespace {

Deadline in(Duration d) {
  return Deadline::after(real_monotonic_now(), d);
}

TEST(Signals, ComeAsValues) {
  Signals signals;
  EXPECT_EQ(signals.wait(in(1ms)), std::nullopt);
  kill(getpid(), SIGTERM);
  EXPECT_EQ(signals.wait(in(5s)), SIGTERM);
}

TEST(Signals, AWakerEndsTheWait) {
  Signals signals;
  Waker waker;
  waker.wake();
  EXPECT_EQ(signals.wait(in(30s), &waker), std::nullopt);
}

TEST(Service, IsToldWhenItIsThere) {
  TestFolder folder;
  unsetenv("NOTIFY_SOCKET");
  EXPECT_TRUE(notify_service("READY=1").ok());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, folder.file("notify").c_str(), sizeof address.sun_path - 1);
  const int service = socket(AF_UNIX, SOCK_DGRAM, 0);
  ASSERT_EQ(bind(service, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  setenv("NOTIFY_SOCKET", address.sun_path, 1);
  ASSERT_TRUE(notify_service("READY=1").ok());
  char text[32];
  EXPECT_EQ(std::string_view(text, static_cast<std::size_t>(recv(service, text, sizeof text, 0))),
            "READY=1");
  close(service);
  EXPECT_FALSE(notify_service("STOPPING=1").ok());
  unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace farshore::os
