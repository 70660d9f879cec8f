#include "journal/append_rate.h"

#include "journal/journal_fixture.h"

namespace farshore::journal {
namespace {

const MonotonicTime kStart{100h};

TEST(AppendRate, KnowsNothingFromOneSample) {
  AppendRate rate;
  EXPECT_EQ(rate.bytes_per_hour(), 0);
  rate.sample(kStart, 5000);
  EXPECT_EQ(rate.bytes_per_hour(), 0);
  rate.sample(kStart + 4s, 9000);  // too near
  EXPECT_EQ(rate.bytes_per_hour(), 0);
}

TEST(AppendRate, IsThatOfTheLastTenMinutes) {
  AppendRate rate;
  std::uint64_t bytes = 0;
  for (int second = 0; second <= 3600; second += 5)
    rate.sample(kStart + second * 1s, bytes += 5000);
  EXPECT_NEAR(rate.bytes_per_hour(), 3'600'000, 1);
  for (int second = 3605; second <= 3600 + 600; second += 5)
    rate.sample(kStart + second * 1s, bytes += 50'000);
  EXPECT_NEAR(rate.bytes_per_hour(), 36'000'000, 500'000);
  for (int second = 4205; second <= 4200 + 610; second += 5)
    rate.sample(kStart + second * 1s, bytes);
  EXPECT_EQ(rate.bytes_per_hour(), 0);
}

TEST(AppendRate, ForecastsWhenALimitIsReached) {
  EXPECT_DOUBLE_EQ(hours_until(1_GiB, 5_GiB, static_cast<double>(2_GiB)), 2.0);
  EXPECT_EQ(hours_until(5_GiB, 5_GiB, 1), 0);
  EXPECT_EQ(hours_until(6_GiB, 5_GiB, 1), 0);
}

class JournalForecast : public JournalFixture {};

TEST_F(JournalForecast, StatusSaysInHoursWhenTheJournalAndTheDiskAreFull) {
  options.bytes_max = 1_GiB;
  options.free_bytes_min = 1_MiB;
  world.disk.set({.capacity = 101_MiB});
  open();
  EXPECT_LT(journal->status().hours_to_bytes_max, 0);
  EXPECT_LT(journal->status().hours_to_disk_full, 0);
  ASSERT_TRUE(eventually(
      [&] {
        append(data_record(++xid, Bytes(1000, 'x')));
        return journal->status().hours_to_bytes_max >= 0;
      },
      2000));
  const Status status = journal->status();
  const double left = static_cast<double>(options.bytes_max - status.bytes);
  const double per_hour = left / status.hours_to_bytes_max;
  EXPECT_GT(per_hour, 10'000'000);  // about 100 records of 1 kB in a second
  EXPECT_LT(per_hour, 500'000'000);
  EXPECT_NEAR(status.hours_to_disk_full * per_hour, static_cast<double>(100_MiB),
              static_cast<double>(10_MiB));
}

}  // namespace
}  // namespace farshore::journal
