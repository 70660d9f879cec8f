#include "pipeline/stream_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/test_golden.h"
#include "os/real/real_world.h"
#include "os/real/test_folder.h"

namespace farshore::pipeline {
namespace {

struct StreamFileTest : testing::Test {
  Bytes written(const StreamFile& file) {
    EXPECT_TRUE(save_stream_file(world->files(), path, file).ok());
    return *os::read_file(world->files(), path);
  }
  Result<std::optional<StreamFile>> read(const Bytes& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    return load_stream_file(world->files(), path);
  }

  std::unique_ptr<os::World> world = os::make_real_world(std::nullopt);
  os::TestFolder folder;
  std::string path = folder.file("stream.file");
};

const StreamFile kSample{.stream = Uuid::from_random(1, 2),
                         .name = "orders",
                         .epoch = Epoch(3),
                         .identity = "system=1 timeline=2",
                         .copied = true,
                         .definition = "to: eu",
                         .paused = true,
                         .pause_at = WallTime(5s)};

// A new version goes into a folder of its own, and what version 1 wrote is read for ever.
TEST_F(StreamFileTest, IsReadAndWrittenAsVersion1Was) {
  const Bytes golden = golden_file("stream-file/1/stream.file", written(kSample));
  EXPECT_EQ(golden, written(kSample));
  const auto file = read(golden);
  ASSERT_TRUE(file.ok()) << file.error().what;
  ASSERT_TRUE(*file);
  EXPECT_EQ((*file)->stream, kSample.stream);
  EXPECT_EQ((*file)->name, "orders");
  EXPECT_EQ((*file)->epoch, Epoch(3));
  EXPECT_EQ((*file)->identity, "system=1 timeline=2");
  EXPECT_TRUE((*file)->copied);
  EXPECT_EQ((*file)->definition, "to: eu");
  EXPECT_TRUE((*file)->paused);
  EXPECT_EQ((*file)->pause_at, WallTime(5s));
}

TEST_F(StreamFileTest, WhereThereIsNoneThereIsNone) {
  const auto file = load_stream_file(world->files(), path);
  ASSERT_TRUE(file.ok()) << file.error().what;
  EXPECT_FALSE(*file);
}

TEST_F(StreamFileTest, DamageAndEveryTruncationIsSeenAndNamed) {
  const Bytes whole = written(kSample);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(read(whole.substr(0, size)).ok()) << size;
  Bytes damaged = whole;
  damaged[20] ^= 1;
  const auto file = read(damaged);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().kind, ErrorKind::corrupt);
  EXPECT_NE(file.error().what.find(path), std::string::npos);
}

}  // namespace
}  // namespace farshore::pipeline
