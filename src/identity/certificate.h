// The certificates by which regions know each other: one CA of the installation, one certificate
// for each region, whose common name is the region. Made by `farshore init`, renewed by `farshore
// cert renew`. Format, names and lifetimes: docs/formats/certificates.md.
//
// A folder holds ca.crt, ca.key, <region>.crt and <region>.key, PEM, 0600. An agent needs ca.crt
// and its region's two files; ca.key only makes new ones and belongs in a safe place. Nothing that
// exists is overwritten except by renew, which leaves the old or the new certificate after a crash.
//
// Functions without state; any thread. Errors: conflict (a file is there already), not_found,
// denied (a private key that others can reach), invalid (not what it should be); each names the
// file and the remedy.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "os/world.h"

namespace farshore::identity {

constexpr Duration kAuthorityLifetime = 3650 * 24h;
constexpr Duration kRegionLifetime = 365 * 24h;
constexpr Duration kClockTolerance = 1h;  // certificates are valid so long before they are made
constexpr int kWarnDays = 30;

// Makes ca.key and ca.crt; `installation` is the configuration's name. Creates the folder.
Result<void> make_authority(os::World& world, const std::string& folder,
                            const std::string& installation);

// invalid: it cannot be a certificate's name.
Result<void> check_region_name(const std::string& region);

// Makes <region>.key and <region>.crt, signed by the folder's CA. `region`: as a name in
// farshore.yaml.
Result<void> make_region_certificate(os::World& world, const std::string& folder,
                                     const std::string& region);

// A new certificate for another year; agents take it up at their next connection. The key stays; a
// region that is new here, or has lost its key, has one made. True: a key was made.
Result<bool> renew_region_certificate(os::World& world, const std::string& folder,
                                      const std::string& region);

// All of the folder: the CA when it would not outlive a region's new certificate (with its old key,
// so that the regions' certificates stay valid; ca.crt must then be copied to all), and every
// region whose key is here. A certificate of another CA stays. The names of what was renewed, the
// CA's is "ca"; never empty. not_found: no region's key is here, or the CA is not.
Result<std::vector<std::string>> renew_all(os::World& world, const std::string& folder);

struct CertificateFacts {
  std::string path;
  std::string subject;      // common name: a region, or "Farshore CA of shop"
  std::string issuer;       // common name
  std::string serial;       // hex
  std::string fingerprint;  // SHA-256 of the certificate, hex
  bool is_authority = false;
  WallTime not_before{};
  WallTime not_after{};
};

Result<CertificateFacts> read_certificate(os::Files& files, const std::string& path);

// All *.crt of the folder, the CA first. not_found: the folder holds none.
Result<std::vector<CertificateFacts>> read_certificates(os::Files& files,
                                                        const std::string& folder);

// Whole days until it expires, rounded down; negative: so long ago.
int days_left(const CertificateFacts& facts, WallTime now);

// The same as a text: "12 days left", "expired 1 day ago".
std::string days_text(const CertificateFacts& facts, WallTime now);

// Empty while more than kWarnDays are left; else what expires when, and the command that renews it.
std::string expiry_warning(const CertificateFacts& facts, WallTime now);

// What an agent needs before it starts: its certificate bears its region's name, is signed by the
// CA, is valid now, and belongs to the key, which only we can read.
Result<void> check_region_files(os::World& world, const std::string& folder,
                                const std::string& region);

}  // namespace farshore::identity
