#include <gtest/gtest.h>

#include <atomic>

#include "os/bounded_queue.h"
#include "os/mutex.h"
#include "os/real/real_world.h"
#include "os/thread.h"

namespace farshore::os {
namespace {

Deadline in(Duration d) {
  return Deadline::after(real_monotonic_now(), d);
}

TEST(CondVar, WaitsUntilTheDeadlineAndNotLess) {
  Mutex mutex;
  CondVar changed;
  Lock lock(mutex);
  const Deadline deadline = in(30ms);
  EXPECT_FALSE(changed.wait(lock, deadline, [] { return false; }));
  EXPECT_TRUE(deadline.reached(real_monotonic_now()));
  EXPECT_TRUE(lock.owns_lock());
}

TEST(CondVar, APassedDeadlineDoesNotWait) {
  Mutex mutex;
  CondVar changed;
  Lock lock(mutex);
  EXPECT_FALSE(changed.wait(lock, Deadline::passed()));
}

TEST(CondVar, WakesAWaiterOfAnotherThread) {
  Mutex mutex;
  CondVar changed;
  bool ready = false;
  Thread other("other", [&](std::stop_token) {
    Lock lock(mutex);
    ready = true;
    changed.notify_all();
  });
  Lock lock(mutex);
  EXPECT_TRUE(changed.wait(lock, in(10s), [&] { return ready; }));
}

TEST(Thread, IsAskedToStopAndWaitedForByItsOwnersEnd) {
  std::atomic<bool> ended = false;
  {
    Thread thread("loop", [&](std::stop_token stop) {
      Mutex mutex;
      CondVar changed;
      std::stop_callback wake(stop, [&] {
        Lock lock(mutex);
        changed.notify_all();
      });
      Lock lock(mutex);
      changed.wait(lock, in(10s), [&] { return stop.stop_requested(); });
      ended = true;
    });
  }
  EXPECT_TRUE(ended);
}

TEST(Thread, AssigningStopsTheOldOne) {
  std::atomic<int> stopped = 0;
  const auto body = [&](std::stop_token stop) {
    while (!stop.stop_requested()) std::this_thread::yield();
    ++stopped;
  };
  Thread thread("first", body);
  thread = Thread("second", body);
  EXPECT_EQ(stopped, 1);
}

TEST(BoundedQueue, AFullOneMakesPushWaitForRoom) {
  BoundedQueue<int> queue({.items_max = 1, .bytes_max = 100});
  ASSERT_TRUE(queue.push(1, 1, Deadline::never()).ok());
  EXPECT_EQ(queue.push(2, 1, in(10ms)).error().kind, ErrorKind::timeout);
  Thread taker("taker", [&](std::stop_token) { EXPECT_EQ(*queue.pop(in(10s)), 1); });
  EXPECT_TRUE(queue.push(3, 1, in(10s)).ok());
}

TEST(BoundedQueue, AnItemLargerThanTheLimitPassesAlone) {
  BoundedQueue<int> queue({.items_max = 10, .bytes_max = 100});
  ASSERT_TRUE(queue.push(1, 1000, Deadline::never()).ok());
  EXPECT_EQ(queue.bytes(), 1000U);
  EXPECT_EQ(queue.push(2, 1, Deadline::passed()).error().kind, ErrorKind::timeout);
}

TEST(BoundedQueue, AClosedOneGivesWhatItHoldsAndWakesAll) {
  BoundedQueue<int> queue({});
  ASSERT_TRUE(queue.push(7, 1, Deadline::never()).ok());
  queue.close();
  EXPECT_EQ(*queue.pop(Deadline::never()), 7);
  EXPECT_EQ(queue.pop(Deadline::never()).error().kind, ErrorKind::closed);
  EXPECT_EQ(queue.push(8, 1, Deadline::never()).error().kind, ErrorKind::closed);
}

TEST(BoundedQueue, KeepsTheOrderUnderLoad) {
  constexpr int kItems = 20000;
  BoundedQueue<int> queue({.items_max = 16, .bytes_max = 1_KiB});
  Thread producer("producer", [&](std::stop_token) {
    for (int i = 0; i < kItems; ++i) ASSERT_TRUE(queue.push(i, 8, in(30s)).ok());
  });
  for (int i = 0; i < kItems; ++i) ASSERT_EQ(*queue.pop(in(30s)), i);
}

}  // namespace
}  // namespace farshore::os
