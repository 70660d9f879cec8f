// Checksums of the formats. crc32c: Castagnoli polynomial, RFC 3720 B.4 (check value of "123456789"
// is e3069283), finds damage. chain_hash: XXH3-64 of `bytes` seeded with the hash of all before,
// says whether two logs share a past; it is no defence against an adversary.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace farshore {

std::uint32_t crc32c(ByteView bytes, std::uint32_t previous = 0);
std::uint64_t chain_hash(std::uint64_t previous, ByteView bytes);

}  // namespace farshore
