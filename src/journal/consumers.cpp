#include "journal/consumers.h"

#include "journal/checked_file.h"

namespace farshore::journal {
namespace {

constexpr CheckedForm kConsumersForm{{"FSJCON\r\n", 8}, 1, "consumers file"};
constexpr std::uint8_t kRequired = 1, kOvertaken = 2;

std::string consumers_path(const std::string& folder) {
  return folder + "/consumers";
}

}  // namespace

Bytes encode_consumers(const ConsumerTable& table) {
  Bytes out;
  ByteWriter writer = begin_checked(kConsumersForm, out);
  writer.number(static_cast<std::uint32_t>(table.size()));
  for (const auto& [name, consumer] : table) {
    const int flags =
        (consumer.places.required ? kRequired : 0) | (consumer.overtaken ? kOvertaken : 0);
    writer.string16(name)
        .number(static_cast<std::uint8_t>(flags))
        .number(consumer.places.applied.value())
        .number(consumer.places.restart.value());
  }
  seal_checked(out);
  return out;
}

Result<ConsumerTable> decode_consumers(ByteView bytes) {
  FARSHORE_TRY_ASSIGN(ByteReader in, open_checked(kConsumersForm, bytes));
  ConsumerTable table;
  for (auto left = in.number<std::uint32_t>(); left > 0 && !in.failed(); --left) {
    const std::string name(in.string16());
    const auto flags = in.number<std::uint8_t>();
    Consumer& consumer = table[name];
    consumer.places.required = (flags & kRequired) != 0;
    consumer.overtaken = (flags & kOvertaken) != 0;
    consumer.places.applied = Sequence(in.number<std::uint64_t>());
    consumer.places.restart = Sequence(in.number<std::uint64_t>());
  }
  FARSHORE_TRY(expect_end(kConsumersForm, in));
  return table;
}

Result<ConsumerTable> load_consumers(os::Files& files, const std::string& folder) {
  const auto bytes = os::read_file(files, consumers_path(folder));
  if (!bytes && bytes.error().kind == ErrorKind::not_found) return ConsumerTable{};
  if (!bytes) return bytes.error();
  auto table = decode_consumers(*bytes);
  if (!table) return within(consumers_path(folder), table.error());
  return table;
}

Result<void> save_consumers(os::Files& files, const std::string& folder,
                            const ConsumerTable& table) {
  return os::replace_file(files, consumers_path(folder), encode_consumers(table));
}

}  // namespace farshore::journal
