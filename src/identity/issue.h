// Issuing: what stands in a certificate of Farshore. No files, no clock.
#pragma once

#include <string>

#include "base/result.h"
#include "base/units.h"
#include "identity/pem.h"

namespace farshore::identity {

struct Validity {
  WallTime from{};
  WallTime until{};
};

// Self-signed: may sign certificates of regions and nothing below them.
Result<Certificate> issue_authority(EVP_PKEY* key, const std::string& common_name,
                                    Validity validity);

// For TLS as server and client, in the name of the region.
Result<Certificate> issue_region(EVP_PKEY* key, const std::string& region, X509* authority,
                                 EVP_PKEY* authority_key, Validity validity);

std::string common_name_of(const X509_NAME* name);
WallTime time_of(const ASN1_TIME* time);

}  // namespace farshore::identity
