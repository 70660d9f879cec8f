#include "link/long_message.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"

namespace farshore::link {
namespace {

constexpr std::uint8_t kMark = 0;
constexpr std::size_t kHeadBytes = 9;  // the mark, u64 length of the whole

}  // namespace

Result<void> send_long(Channel& channel, ByteView message, Deadline deadline) {
  FARSHORE_CHECK(message.empty() || message.front() != kMark, "a message that looks like a head");
  if (message.size() <= kMessageMax) return channel.send(message, deadline);
  if (message.size() > kLongMessageMax)
    return permanent(ErrorKind::invalid, "message of {} bytes: the limit is {}", message.size(),
                     kLongMessageMax);
  Bytes head;
  ByteWriter writer(head);
  writer.number(kMark);
  writer.number(static_cast<std::uint64_t>(message.size()));
  FARSHORE_TRY(channel.send(head, deadline));
  for (; !message.empty(); message.remove_prefix(std::min(message.size(), kMessageMax)))
    FARSHORE_TRY(channel.send(message.substr(0, kMessageMax), deadline));
  return {};
}

Result<Bytes> receive_long(Channel& channel, Deadline deadline) {
  FARSHORE_TRY_ASSIGN(Bytes first, channel.receive(deadline));
  if (first.size() != kHeadBytes || first.front() != kMark) return first;
  ByteReader reader(ByteView(first).substr(1));
  const auto size = reader.number<std::uint64_t>();
  if (size > kLongMessageMax)
    return permanent(ErrorKind::corrupt, "a message of {} bytes: the limit is {}", size,
                     kLongMessageMax);
  Bytes whole;
  while (whole.size() < size) {
    auto piece = channel.receive(deadline);
    if (!piece.ok() && piece.error().kind == ErrorKind::timeout)  // what came is lost
      return transient(ErrorKind::unavailable, "of a message of {} bytes only {} came in time",
                       size, whole.size());
    if (!piece.ok()) return std::move(piece).error();
    if (piece->empty() || piece->size() > size - whole.size())
      return permanent(ErrorKind::corrupt, "pieces of {} bytes that are not {}",
                       whole.size() + piece->size(), size);
    whole += *piece;
  }
  return whole;
}

}  // namespace farshore::link
