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
