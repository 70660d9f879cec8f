#include "engine/postgres/membership.h"

#include <charconv>

namespace farshore::postgres {
namespace {

constexpr char kKept = '=';

}  // namespace

// Not by pg_partition_tree, which waits for the application's locks on partitions.
const char* const kMembersSql = R"(
WITH RECURSIVE listed AS (
  SELECT r.prrelid AS oid, r.oid AS member
    FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
   WHERE p.pubname = $1),
parts AS (
  SELECT i.inhrelid AS oid, i.inhparent AS above
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
   WHERE c.relispartition AND c.relkind IN ('r', 'p')
  UNION ALL
  SELECT p.oid, i.inhparent FROM parts p JOIN pg_inherits i ON i.inhrelid = p.above),
every AS (
  SELECT l.oid FROM listed l
  UNION SELECT p.oid FROM parts p JOIN listed l ON l.oid = p.above
  UNION SELECT p.above FROM parts p JOIN listed l ON l.oid = p.oid),
covered AS (
  SELECT DISTINCT ON (p.oid) p.oid, l.oid AS under, l.member
    FROM parts p JOIN listed l ON l.oid = p.above ORDER BY p.oid, l.member),
members AS (
  SELECT e.oid, u.under, m.oid IS NOT NULL AS listed,
         coalesce(coalesce(m.member, u.member) || '/' || e.oid, '') AS membership
    FROM every e
    LEFT JOIN listed m ON m.oid = e.oid
    LEFT JOIN covered u ON u.oid = e.oid)
)";

Result<std::map<TableName, std::string>> read_memberships(Connection& connection,
                                                          const std::string& publication,
                                                          Deadline deadline) {
  FARSHORE_TRY_ASSIGN(
      const Rows rows,
      connection.query(std::string(kMembersSql) +
                           "SELECT n.nspname, c.relname, m.membership FROM members m "
                           "JOIN pg_class c ON c.oid = m.oid "
                           "JOIN pg_namespace n ON n.oid = c.relnamespace "
                           "WHERE m.membership <> ''",
                       {publication}, deadline));
  std::map<TableName, std::string> out;
  for (int i = 0; i < rows.count(); ++i)
    out[{std::string(rows.text(i, 0)), std::string(rows.text(i, 1))}] = rows.text(i, 2);
  return out;
}

StoredMembership StoredMembership::from(std::string_view stored) {
  const bool kept = stored.starts_with(kKept);
  return {std::string(stored.substr(kept ? 1 : 0)), kept};
}

std::string StoredMembership::stored() const {
  return kept ? kKept + text : text;
}

std::uint32_t StoredMembership::oid() const {
  std::uint32_t member = 0, oid = 0;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, member);
  if (kept || first.ec != std::errc() || first.ptr == end || *first.ptr != '/') return 0;
  const auto second = std::from_chars(first.ptr + 1, end, oid);
  return second.ec == std::errc() && second.ptr == end ? oid : 0;
}

}  // namespace farshore::postgres
