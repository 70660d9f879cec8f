#include "os/secret_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "os/real/test_folder.h"

namespace farshore::os {
namespace {

using testing::HasSubstr;

struct SecretFileTest : testing::Test {
  void write(const std::string& contents, unsigned mode) {
    std::ofstream(path) << contents;
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
  }

  TestFolder folder;
  std::string path = folder.file("password");
};

TEST_F(SecretFileTest, IsReadWhenOnlyWeCan) {
  for (const unsigned mode : {0600U, 0400U, 0700U}) {
    write("hunter2\n", mode);
    EXPECT_EQ(*read_secret_file(path), "hunter2\n");
    ASSERT_EQ(::unlink(path.c_str()), 0);
  }
}

TEST_F(SecretFileTest, IsRefusedWhenOthersCanReachIt) {
  for (const unsigned mode : {0640U, 0604U, 0620U, 0602U, 0666U}) {
    write("hunter2\n", mode);
    const Error error = read_secret_file(path).error();
    EXPECT_EQ(error.kind, ErrorKind::denied) << mode;
    EXPECT_THAT(error.what, HasSubstr("chmod 0600"));
    EXPECT_EQ(error.what.find("hunter2"), std::string::npos);
  }
}

TEST_F(SecretFileTest, ALineIsReadWithoutItsEndAndMustHoldSomething) {
  for (const char* contents : {"hunter2\nsecond line\n", "hunter2", "hunter2\r\n"}) {
    write(contents, 0600);
    EXPECT_EQ(*read_secret_line(path), "hunter2");
    EXPECT_FALSE(secret_line_fault(path));
  }
  for (const char* contents : {"", "\nhunter2\n", "\r\n"}) {
    write(contents, 0600);
    const Error error = read_secret_line(path).error();
    EXPECT_EQ(error.kind, ErrorKind::invalid);
    EXPECT_EQ(error.what, "secret file '" + path + "': its first line is empty");
  }
}

TEST_F(SecretFileTest, AFaultIsSaidApartFromWhatHelps) {
  const auto missing = secret_line_fault(path);
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->kind, ErrorKind::not_found);
  EXPECT_EQ(missing->what, "secret file '" + path + "': No such file or directory");
  EXPECT_EQ(missing->remedy, "");
  write("hunter2\n", 0644);
  const auto open = secret_line_fault(path);
  ASSERT_TRUE(open);
  EXPECT_EQ(open->what, "secret file '" + path + "' has mode 0644, others can reach it");
  EXPECT_EQ(open->remedy, "chmod 0600 '" + path + "'");
  EXPECT_EQ(read_secret_line(path).error().what, open->what + ": " + open->remedy);
}

// Root reads everything, so root gives itself up for this.
TEST_F(SecretFileTest, AFileThatWeMayNotReadIsDeniedWithTheChownThatHelps) {
  write("hunter2\n", 0600);
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  const uid_t us = ::geteuid();
  ASSERT_EQ(us == 0 ? ::seteuid(65534) : ::chmod(path.c_str(), 0000), 0);
  const auto fault = secret_line_fault(path);
  const uid_t reader = ::geteuid();
  ASSERT_EQ(::seteuid(us), 0);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind, ErrorKind::denied);
  EXPECT_EQ(fault->what, "secret file '" + path + "': Permission denied");
  EXPECT_THAT(fault->remedy, HasSubstr(fmt::format("chown {} '{}'", reader, path)));
}

TEST_F(SecretFileTest, MustBeAFileThatIsThereAndSmall) {
  EXPECT_EQ(read_secret_file(path).error().kind, ErrorKind::not_found);
  EXPECT_EQ(read_secret_file(folder.path()).error().kind, ErrorKind::invalid);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(read_secret_file(path).error().kind, ErrorKind::invalid);
  ASSERT_EQ(::unlink(path.c_str()), 0);
  write(std::string(kSecretFileMax + 1, 'x'), 0600);
  EXPECT_EQ(read_secret_file(path).error().kind, ErrorKind::invalid);
}

}  // namespace
}  // namespace farshore::os
