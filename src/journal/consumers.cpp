#include "journal/consumers.h"

#include "base/checksum.h"

namespace farshore::journal {
namespace {

constexpr ByteView kMagic{"FSJCON\r\n", 8};
constexpr std::uint32_t kVersion = 1;
constexpr std::uint8_t kRequired = 1, kOvertaken = 2;

std::string path_in(const std::string& folder) {
  return folder + "/consumers";
}

}  // namespace

Bytes encode_consumers(const ConsumerTable& table) {
  Bytes out;
  ByteWriter writer(out);
  writer.raw(kMagic).number(kVersion).number(static_cast<std::uint32_t>(table.size()));
  for (const auto& [name, consumer] : table) {
    const int flags =
        (consumer.places.required ? kRequired : 0) | (consumer.overtaken ? kOvertaken : 0);
    writer.string16(name)
        .number(static_cast<std::uint8_t>(flags))
        .number(consumer.places.applied.value())
        .number(consumer.places.restart.value());
  }
  writer.number(crc32c(out));
  return out;
}

Result<ConsumerTable> decode_consumers(ByteView bytes) {
  std::uint32_t crc = 0;
  if (bytes.size() < sizeof crc)
    return permanent(ErrorKind::corrupt, "consumers file is too short");
  std::memcpy(&crc, bytes.data() + bytes.size() - sizeof crc, sizeof crc);
  bytes.remove_suffix(sizeof crc);
  if (crc != crc32c(bytes))
    return permanent(ErrorKind::corrupt, "consumers file does not match its checksum");
  ByteReader in(bytes);
  if (in.raw(kMagic.size()) != kMagic)
    return permanent(ErrorKind::corrupt, "consumers file does not begin with its magic");
  if (const auto version = in.number<std::uint32_t>(); version != kVersion)
    return permanent(ErrorKind::corrupt, "consumers file has version {}, this build reads {}",
                     version, kVersion);
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
  if (!in.finished())
    return permanent(ErrorKind::corrupt, "consumers file does not end where it says");
  return table;
}

Result<ConsumerTable> load_consumers(os::Files& files, const std::string& folder) {
  const auto bytes = os::read_file(files, path_in(folder));
  if (!bytes && bytes.error().kind == ErrorKind::not_found) return ConsumerTable{};
  if (!bytes) return bytes.error();
  auto table = decode_consumers(*bytes);
  if (!table) return within(path_in(folder), table.error());
  return table;
}

Result<void> save_consumers(os::Files& files, const std::string& folder,
                            const ConsumerTable& table) {
  return os::replace_file(files, path_in(folder), encode_consumers(table));
}

}  // namespace farshore::journal
