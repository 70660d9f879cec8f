// SourceOnServer: for *_pgtest programs, a database of its own on a server of each version that is
// here, for streams that capture it.
#pragma once

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "engine/postgres/slot.h"
#include "engine/postgres/test_database.h"

namespace farshore::postgres {

class SourceOnServer : public testing::TestWithParam<std::string> {
 protected:
  // A column of the stream's slot, or count(*).
  std::string of_slot(const TestStream& stream, const std::string& what) {
    return database_.value("SELECT " + what + " FROM pg_replication_slots WHERE slot_name = '" +
                           slot_name(stream.options.stream) + "'");
  }

  TestServer& server_ = shared_server(GetParam(), 21200);
  TestDatabase database_{server_};
};

inline std::string server_name(const testing::TestParamInfo<std::string>& info) {
  return info.param.find("18") != std::string::npos ? "pg18" : "pg15";
}

inline std::vector<Record> only(std::vector<Record> records, RecordKind kind) {
  std::erase_if(records, [&](const Record& record) { return record.kind != kind; });
  return records;
}

}  // namespace farshore::postgres
