#include "engine/postgres/replica_identity.h"

#include <fmt/format.h>

#include "engine/postgres/quoting.h"

namespace farshore::postgres {

bool ReplicaIdentity::usable() const {
  const bool there = setting == 'f' || (!index.empty() && valid && immediate);
  return there && unpublished.empty();
}

std::string why_unusable(const ReplicaIdentity& identity) {
  if (identity.setting == 'n') return "its REPLICA IDENTITY is NOTHING";
  if (identity.setting == 'f')
    return fmt::format("its REPLICA IDENTITY FULL holds the generated column {}",
                       identity.unpublished);
  if (identity.index.empty())
    return identity.setting == 'i' ? "the index of its REPLICA IDENTITY was dropped"
                                   : "it has no primary key";
  const std::string key =
      (identity.setting == 'i' ? "its identity index " : "its primary key ") + identity.index;
  if (!identity.valid) return key + " is not valid";
  if (!identity.immediate) return key + " is DEFERRABLE";
  return fmt::format("{} holds the generated column {}", key, identity.unpublished);
}

std::string remedy_of(const TableName& table, const ReplicaIdentity& identity) {
  const std::string alter = fmt::format("ALTER TABLE {} ", table.quoted());
  if (!identity.other.empty()) return fmt::format("{}REPLICA IDENTITY {};", alter, identity.other);
  if (!identity.index.empty() && !identity.valid)
    return fmt::format("REINDEX INDEX {}.{};", quote_identifier(table.schema), identity.index);
  if (!identity.full_works)
    return fmt::format(
        "CREATE UNIQUE INDEX {0} ON {1} (...); {2}REPLICA IDENTITY USING INDEX {0};  -- on columns "
        "that are NOT NULL and not generated: FULL would hold a generated one",
        quote_identifier(table.name + "_identity"), table.quoted(), alter);
  return alter +
         "REPLICA IDENTITY FULL;  -- or a primary key that is not DEFERRABLE, by which its changes "
         "are applied faster; or `identity: full` in its rule";
}

}  // namespace farshore::postgres
