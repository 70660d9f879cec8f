// Checked file: the form that the journal's small files share: magic, version, fields, CRC-32C of
// all bytes before it. Twins: begin_checked with seal_checked, and open_checked. Pure. Format:
// docs/formats/journal.md.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace farshore::journal {

struct CheckedForm {
  ByteView magic;
  std::uint32_t version = 0;
  std::string_view name;  // for messages: "consumers file"
};

// Writes magic and version; the fields follow.
ByteWriter begin_checked(const CheckedForm& form, Bytes& out);
// Behind the last field.
void seal_checked(Bytes& out);

// At the first field; what is left ends with the last one. corrupt: names what does not fit.
Result<ByteReader> open_checked(const CheckedForm& form, ByteView bytes);
// corrupt: fields are missing, or bytes are left over.
Result<void> expect_end(const CheckedForm& form, const ByteReader& in);

}  // namespace farshore::journal
