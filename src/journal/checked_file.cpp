#include "journal/checked_file.h"

#include "base/checksum.h"

namespace farshore::journal {

ByteWriter begin_checked(const CheckedForm& form, Bytes& out) {
  ByteWriter writer(out);
  writer.raw(form.magic).number(form.version);
  return writer;
}

void seal_checked(Bytes& out) {
  ByteWriter(out).number(crc32c(out));
}

Result<ByteReader> open_checked(const CheckedForm& form, ByteView bytes) {
  std::uint32_t crc = 0;
  if (bytes.size() < sizeof crc) return permanent(ErrorKind::corrupt, "{} is too short", form.name);
  std::memcpy(&crc, bytes.data() + bytes.size() - sizeof crc, sizeof crc);
  bytes.remove_suffix(sizeof crc);
  if (crc != crc32c(bytes))
    return permanent(ErrorKind::corrupt, "{} does not match its checksum", form.name);
  ByteReader in(bytes);
  if (in.raw(form.magic.size()) != form.magic)
    return permanent(ErrorKind::corrupt, "{} does not begin with its magic", form.name);
  if (const auto version = in.number<std::uint32_t>(); version != form.version)
    return permanent(ErrorKind::corrupt, "{} has version {}, this build reads {}", form.name,
                     version, form.version);
  return in;
}

Result<void> expect_end(const CheckedForm& form, const ByteReader& in) {
  if (in.finished()) return {};
  return permanent(ErrorKind::corrupt, "{} does not end where it says", form.name);
}

}  // namespace farshore::journal
