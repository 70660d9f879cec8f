// What every Files must do, be it the machine's, a simulated disk (os/contracts_test.cpp runs the
// rules against both) or one in memory (journal/disk_contract_test.cpp). A rule gets a world and an
// empty folder; MUST names what does not hold.
#pragma once

#include <algorithm>
#include <vector>

#include "os/sim/test_seed.h"
#include "os/world.h"

namespace farshore::os {

struct FilesRule {
  const char* name;
  void (*body)(World& world, const std::string& folder);
};

inline std::string contents_of(Files& files, const std::string& path) {
  auto read = read_file(files, path);
  return read.ok() ? *read : read.error().what;
}

inline void what_is_written_is_read_also_beyond_a_hole(World& world, const std::string& folder) {
  auto file = *world.files().open(folder + "/a", OpenMode::create);
  MUST(file->write_at(3, "abc").ok());
  char buffer[10];
  MUST(*file->read_at(0, buffer, 10) == 6);
  MUST(std::string_view(buffer, 6) == std::string_view("\0\0\0abc", 6));
  MUST(*file->read_at(6, buffer, 10) == 0);
  MUST(file->truncate(4).ok() && *file->size() == 4);
  MUST(file->sync().ok());
}

inline void create_keeps_what_is_there(World& world, const std::string& folder) {
  MUST(replace_file(world.files(), folder + "/a", "kept").ok());
  MUST(*(*world.files().open(folder + "/a", OpenMode::create))->size() == 4);
}

inline void what_is_missing_is_not_found_and_named(World& world, const std::string& folder) {
  for (const OpenMode mode : {OpenMode::read, OpenMode::write}) {
    const auto missing = world.files().open(folder + "/none", mode);
    MUST(missing.error().kind == ErrorKind::not_found);
    MUST(missing.error().what.find("/none") != std::string::npos);
  }
  MUST(world.files().list(folder + "/none").error().kind == ErrorKind::not_found);
  MUST(world.files().remove(folder + "/none").error().kind == ErrorKind::not_found);
}

inline void names_are_listed_sorted_move_and_go(World& world, const std::string& folder) {
  Files& files = world.files();
  MUST(files.create_folder(folder + "/x/y").ok() && files.create_folder(folder + "/x").ok());
  for (const char* name : {"/x/c", "/x/a", "/x/b"})
    MUST(replace_file(files, folder + name, name).ok());
  MUST(files.rename(folder + "/x/a", folder + "/x/b").ok());
  MUST(*files.list(folder + "/x") == std::vector<std::string>({"b", "c", "y"}));
  MUST(contents_of(files, folder + "/x/b") == "/x/a");
  MUST(!files.remove(folder + "/x").ok());  // it is not empty
  for (const char* name : {"/x/b", "/x/c", "/x/y", "/x"}) MUST(files.remove(folder + name).ok());
  MUST(files.list(folder)->empty());
}

inline void a_replacement_is_whole(World& world, const std::string& folder) {
  for (const std::string& text : {std::string("first"), std::string(100'000, 'x')}) {
    MUST(replace_file(world.files(), folder + "/a", text).ok());
    MUST(contents_of(world.files(), folder + "/a") == text);
    MUST(*world.files().list(folder) == std::vector<std::string>({"a"}));
  }
}

inline void an_open_file_is_read_through_its_new_name(World& world, const std::string& folder) {
  auto file = *world.files().open(folder + "/a", OpenMode::create);
  MUST(file->write_at(0, "one").ok());
  MUST(world.files().rename(folder + "/a", folder + "/b").ok());
  MUST(file->write_at(3, "two").ok());
  MUST(contents_of(world.files(), folder + "/b") == "onetwo");
}

inline void a_lock_names_its_holder_and_ends_with_it(World& world, const std::string& folder) {
  {
    auto lock = *world.files().lock(folder + "/lock", "agent one");
    const auto second = world.files().lock(folder + "/lock", "agent two");
    MUST(second.error().kind == ErrorKind::conflict);
    MUST(second.error().what.find("held by agent one") != std::string::npos);
  }
  MUST(world.files().lock(folder + "/lock", "agent two").ok());
}

inline void free_space_is_known(World& world, const std::string& folder) {
  MUST(*world.files().free_bytes(folder) > 0);
}

inline const std::vector<FilesRule>& files_contract() {
  static const std::vector<FilesRule> rules{
      {"WhatIsWrittenIsReadAlsoBeyondAHole", &what_is_written_is_read_also_beyond_a_hole},
      {"CreateKeepsWhatIsThere", &create_keeps_what_is_there},
      {"WhatIsMissingIsNotFoundAndNamed", &what_is_missing_is_not_found_and_named},
      {"NamesAreListedSortedMoveAndGo", &names_are_listed_sorted_move_and_go},
      {"AReplacementIsWhole", &a_replacement_is_whole},
      {"AnOpenFileIsReadThroughItsNewName", &an_open_file_is_read_through_its_new_name},
      {"ALockNamesItsHolderAndEndsWithIt", &a_lock_names_its_holder_and_ends_with_it},
      {"FreeSpaceIsKnown", &free_space_is_known},
  };
  return rules;
}

}  // namespace farshore::os
