#include "base/checksum.h"

#include <isa-l/crc.h>
#include <xxhash.h>

namespace farshore {

std::uint32_t crc32c(ByteView bytes, std::uint32_t previous) {
  auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
  return crc32_iscsi(data, static_cast<int>(bytes.size()), ~previous) ^ 0xffffffffU;
}

std::uint64_t chain_hash(std::uint64_t previous, ByteView bytes) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), previous);
}

}  // namespace farshore
