// PreparedStatements: the sink's statements as the server's session knows them, made when first
// needed and bounded in number. One thread; belongs to one session.
#pragma once

#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/postgres/relation_map.h"
#include "engine/postgres/sink_pipeline.h"

namespace farshore::postgres {

enum class StatementForm : char {
  insert_row = 'i',
  insert_set = 'I',
  update_row = 'u',
  update_set = 'U',
  delete_row = 'd',
  delete_set = 'D',
  replace_row = 'r',
  update_whole_row = 'w',
  delete_whole_row = 'x',
};

// Which statement: its columns are those of the source relation, in the order of the parameters.
struct StatementShape {
  StatementForm form = StatementForm::insert_row;
  std::vector<std::size_t> written;
  std::vector<std::size_t> key;  // of whole-row forms: all columns compared
  std::vector<bool> nulls;       // whole-row forms: which of `key` are NULL
};

class PreparedStatements {
 public:
  PreparedStatements(Pipeline& pipeline, std::size_t max) : pipeline_(pipeline), max_(max) {}

  // The name to execute; its preparation is sent before if the session does not know it. Valid
  // until the next call.
  Result<const std::string*> name_of(const std::shared_ptr<const MappedRelation>& mapped,
                                     const StatementShape& shape);
  // After a failure: what was sent behind it was never prepared.
  Result<void> forget_all();

 private:
  struct Known {
    std::string key;
    std::string name;
  };

  Pipeline& pipeline_;
  const std::size_t max_;
  std::uint64_t made_ = 0;
  std::string key_;
  std::list<Known> known_;  // the most recently used first
  std::unordered_map<std::string_view, std::list<Known>::iterator> by_key_;
};

}  // namespace farshore::postgres
