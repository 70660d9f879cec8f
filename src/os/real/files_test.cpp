// What the machine does beyond the contract of Files (os/files_contract.h), which holds on it too.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/real/real_world.h"
#include "os/real/test_folder.h"

namespace farshore::os {
namespace {

using testing::HasSubstr;

struct RealFilesTest : testing::Test {
  TestFolder folder;
  std::unique_ptr<World> world = make_real_world({});
  Files& files = world->files();
};

TEST_F(RealFilesTest, FilesAndFoldersAreTheOwnersOnly) {
  ASSERT_TRUE(files.create_folder(folder.file("x/y/z")).ok());
  ASSERT_TRUE(files.open(folder.file("x/y/z/f"), OpenMode::create).ok());
  struct stat info{};
  ASSERT_EQ(stat(folder.file("x/y").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
  ASSERT_EQ(stat(folder.file("x/y/z/f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(RealFilesTest, AFullDiskIsDiskFullAndNamesThePlace) {
  auto file = *files.open("/dev/full", OpenMode::write);
  const auto written = file->write_at(17, "x");
  EXPECT_EQ(written.error().kind, ErrorKind::disk_full);
  EXPECT_THAT(written.error().what, HasSubstr("'/dev/full' at offset 17"));
}

TEST_F(RealFilesTest, AFailedSyncStaysFailed) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);  // a pipe cannot be synced
  auto file = *files.open("/proc/self/fd/" + std::to_string(pipe_ends[1]), OpenMode::write);
  const std::string first = file->sync().error().what;
  EXPECT_THAT(first, HasSubstr("may be lost"));
  EXPECT_EQ(file->sync().error().what, first);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST_F(RealFilesTest, ALockDiesWithItsProcess) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto lock = files.lock(folder.file("lock"), "the child");
    [[maybe_unused]] const ssize_t told = write(ready[1], "x", 1);
    pause();
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_THAT(files.lock(folder.file("lock"), "us").error().what, HasSubstr("the child"));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(files.lock(folder.file("lock"), "us").ok());
  close(ready[0]);
  close(ready[1]);
}

TEST_F(RealFilesTest, AFailedReplacementLeavesTheOldContents) {
  ASSERT_TRUE(replace_file(files, folder.file("a"), "old").ok());
  ASSERT_TRUE(files.create_folder(folder.file("a.new")).ok());  // in the way of the temporary file
  EXPECT_FALSE(replace_file(files, folder.file("a"), "new").ok());
  EXPECT_EQ(*read_file(files, folder.file("a")), "old");
}

TEST_F(RealFilesTest, FreeSpaceIsKnown) {
  EXPECT_GT(*files.free_bytes(folder.path()), 0U);
  EXPECT_EQ(files.free_bytes(folder.file("none")).error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace farshore::os
