#include "identity/certificate.h"

#include <openssl/x509v3.h>

#include <algorithm>

#include "identity/issue.h"
#include "identity/pem.h"
#include "os/secret_file.h"

namespace farshore::identity {
namespace {

constexpr const char* kAuthority = "ca";
constexpr std::size_t kRegionNameMax = 63;
constexpr std::size_t kCommonNameMax = 64;  // ub-common-name of RFC 5280

std::string certificate_path(const std::string& folder, const std::string& name) {
  return folder + "/" + name + ".crt";
}
std::string key_path(const std::string& folder, const std::string& name) {
  return folder + "/" + name + ".key";
}

struct Pair {
  Certificate certificate;
  Key key;
};

Result<Certificate> load_certificate(os::Files& files, const std::string& path) {
  FARSHORE_TRY_ASSIGN(const Bytes pem, os::read_file(files, path));
  return certificate_from(pem, path);
}

Result<Key> load_key(const std::string& path) {
  FARSHORE_TRY_ASSIGN(const Bytes pem, os::read_secret_file(path));
  return key_from(pem, path);
}

Result<Pair> load_pair(os::Files& files, const std::string& folder, const std::string& name) {
  Pair pair;
  FARSHORE_TRY_ASSIGN(pair.certificate, load_certificate(files, certificate_path(folder, name)));
  FARSHORE_TRY_ASSIGN(pair.key, load_key(key_path(folder, name)));
  if (X509_check_private_key(pair.certificate.get(), pair.key.get()) != 1) {
    (void)openssl_reason();
    return permanent(ErrorKind::invalid,
                     "'{}' does not belong to '{}': take both from one `farshore init`, or where "
                     "the CA's key is: farshore cert renew",
                     key_path(folder, name), certificate_path(folder, name));
  }
  return pair;
}

Result<Pair> load_authority(os::Files& files, const std::string& folder) {
  auto authority = load_pair(files, folder, kAuthority);
  if (!authority && authority.error().kind == ErrorKind::not_found)
    return permanent(ErrorKind::not_found,
                     "{}: certificates are made and renewed where ca.crt and ca.key of "
                     "`farshore init` lie: run it there",
                     authority.error().what);
  if (authority && X509_check_ca(authority->certificate.get()) != 1)
    return permanent(ErrorKind::invalid, "'{}' is not a CA", certificate_path(folder, kAuthority));
  return authority;
}

Result<void> refuse_existing(os::Files& files, const std::string& path) {
  auto there = files.open(path, os::OpenMode::read);
  if (!there && there.error().kind == ErrorKind::not_found) return {};
  if (!there) return std::move(there).error();
  return permanent(ErrorKind::conflict,
                   "'{}' is there already and is not overwritten: `farshore cert renew` renews it",
                   path);
}

// Cut where it is too long, and not in the middle of a character of UTF-8.
std::string authority_name(const std::string& installation) {
  const std::string name = "Farshore CA of " + installation;
  std::size_t end = std::min(name.size(), kCommonNameMax);
  while (end < name.size() && (static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80U) --end;
  return name.substr(0, end);
}

Validity validity_of(os::World& world, Duration lifetime) {
  const WallTime now = world.clock().wall();
  return {now - kClockTolerance, now + lifetime};
}

// Never outlives the CA: it would stop working before it says so.
Result<Certificate> issue_for(os::World& world, const Pair& authority, const std::string& folder,
                              const std::string& region, EVP_PKEY* key) {
  Validity validity = validity_of(world, kRegionLifetime);
  const WallTime end = time_of(X509_get0_notAfter(authority.certificate.get()));
  if (end <= world.clock().wall())
    return permanent(ErrorKind::invalid,
                     "'{}' expired on {}: `farshore cert renew` without --region renews it too",
                     certificate_path(folder, kAuthority), format_time(end));
  validity.until = std::min(validity.until, end);
  return issue_region(key, region, authority.certificate.get(), authority.key.get(), validity);
}

// Whether a file is a certificate of this CA, or may become one: another's is not to be replaced.
Result<bool> is_of(os::Files& files, const Pair& authority, const std::string& path) {
  const auto certificate = load_certificate(files, path);
  if (!certificate && certificate.error().kind == ErrorKind::not_found) return true;
  if (!certificate) return certificate.error();
  return X509_check_issued(authority.certificate.get(), certificate->get()) == X509_V_OK;
}

std::string fingerprint_of(const X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return "";
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string serial_of(X509* certificate) {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  std::string text;
  for (int i = 0; i < serial->length; ++i) text += fmt::format("{:02x}", serial->data[i]);
  return text;
}

std::string days_count(int days) {
  return fmt::format("{} {}", days, days == 1 ? "day" : "days");
}

CertificateFacts facts_of(X509* certificate, const std::string& path) {
  return {.path = path,
          .subject = common_name_of(X509_get_subject_name(certificate)),
          .issuer = common_name_of(X509_get_issuer_name(certificate)),
          .serial = serial_of(certificate),
          .fingerprint = fingerprint_of(certificate),
          .is_authority = X509_check_ca(certificate) == 1,
          .not_before = time_of(X509_get0_notBefore(certificate)),
          .not_after = time_of(X509_get0_notAfter(certificate))};
}

Result<void> renew_authority(os::World& world, const std::string& folder, const Pair& authority) {
  const std::string name = common_name_of(X509_get_subject_name(authority.certificate.get()));
  FARSHORE_TRY_ASSIGN(
      const Certificate certificate,
      issue_authority(authority.key.get(), name, validity_of(world, kAuthorityLifetime)));
  return os::replace_file(world.files(), certificate_path(folder, kAuthority),
                          pem_of(certificate.get()));
}

}  // namespace

Result<void> check_region_name(const std::string& region) {
  const bool plain = std::all_of(region.begin(), region.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
  if (plain && !region.empty() && region.size() <= kRegionNameMax && region != kAuthority)
    return {};
  if (region == kAuthority)
    return permanent(ErrorKind::invalid,
                     "region '{}' cannot be a certificate's name: it is the CA's", region);
  return permanent(
      ErrorKind::invalid,
      "region '{}' cannot be a certificate's name: 1 to {} letters, digits, '-' and '_'", region,
      kRegionNameMax);
}

Result<void> make_authority(os::World& world, const std::string& folder,
                            const std::string& installation) {
  os::Files& files = world.files();
  FARSHORE_TRY(files.create_folder(folder));
  FARSHORE_TRY(refuse_existing(files, key_path(folder, kAuthority)));
  FARSHORE_TRY(refuse_existing(files, certificate_path(folder, kAuthority)));
  FARSHORE_TRY_ASSIGN(const Key key, make_key());
  FARSHORE_TRY_ASSIGN(const Certificate certificate,
                      issue_authority(key.get(), authority_name(installation),
                                      validity_of(world, kAuthorityLifetime)));
  FARSHORE_TRY(os::replace_file(files, key_path(folder, kAuthority), pem_of(key.get())));
  return os::replace_file(files, certificate_path(folder, kAuthority), pem_of(certificate.get()));
}

Result<void> make_region_certificate(os::World& world, const std::string& folder,
                                     const std::string& region) {
  os::Files& files = world.files();
  FARSHORE_TRY(check_region_name(region));
  FARSHORE_TRY_ASSIGN(const Pair authority, load_authority(files, folder));
  FARSHORE_TRY(refuse_existing(files, key_path(folder, region)));
  FARSHORE_TRY(refuse_existing(files, certificate_path(folder, region)));
  FARSHORE_TRY_ASSIGN(const Key key, make_key());
  FARSHORE_TRY_ASSIGN(const Certificate certificate,
                      issue_for(world, authority, folder, region, key.get()));
  FARSHORE_TRY(os::replace_file(files, key_path(folder, region), pem_of(key.get())));
  return os::replace_file(files, certificate_path(folder, region), pem_of(certificate.get()));
}

Result<bool> renew_region_certificate(os::World& world, const std::string& folder,
                                      const std::string& region) {
  os::Files& files = world.files();
  FARSHORE_TRY(check_region_name(region));
  FARSHORE_TRY_ASSIGN(const Pair authority, load_authority(files, folder));
  auto kept = load_key(key_path(folder, region));
  const bool made = !kept.ok() && kept.error().kind == ErrorKind::not_found;
  FARSHORE_TRY_ASSIGN(const Key key, made ? make_key() : std::move(kept));
  FARSHORE_TRY_ASSIGN(const Certificate certificate,
                      issue_for(world, authority, folder, region, key.get()));
  // Two files cannot be replaced as one. After a crash between them check_region_files says so, and
  // renewing again mends it.
  if (made) FARSHORE_TRY(os::replace_file(files, key_path(folder, region), pem_of(key.get())));
  FARSHORE_TRY(
      os::replace_file(files, certificate_path(folder, region), pem_of(certificate.get())));
  return made;
}

Result<std::vector<std::string>> renew_all(os::World& world, const std::string& folder) {
  FARSHORE_TRY_ASSIGN(Pair issuer, load_authority(world.files(), folder));
  std::vector<std::string> renewed;
  if (time_of(X509_get0_notAfter(issuer.certificate.get())) <
      world.clock().wall() + kRegionLifetime) {
    FARSHORE_TRY(renew_authority(world, folder, issuer));
    FARSHORE_TRY_ASSIGN(issuer, load_authority(world.files(), folder));
    renewed.emplace_back(kAuthority);
  }
  FARSHORE_TRY_ASSIGN(const std::vector<std::string> names, world.files().list(folder));
  for (const std::string& name : names) {
    if (!name.ends_with(".key")) continue;
    const std::string region = name.substr(0, name.size() - 4);
    if (region == kAuthority) continue;
    FARSHORE_TRY_ASSIGN(const bool ours,
                        is_of(world.files(), issuer, certificate_path(folder, region)));
    if (!ours) continue;
    FARSHORE_TRY(renew_region_certificate(world, folder, region));
    renewed.push_back(region);
  }
  if (renewed.empty())
    return permanent(ErrorKind::not_found,
                     "no region's key lies in '{}', so nothing was renewed: `farshore cert renew "
                     "--region REGION` makes one",
                     folder);
  return renewed;
}

Result<CertificateFacts> read_certificate(os::Files& files, const std::string& path) {
  FARSHORE_TRY_ASSIGN(const Certificate certificate, load_certificate(files, path));
  return facts_of(certificate.get(), path);
}

Result<std::vector<CertificateFacts>> read_certificates(os::Files& files,
                                                        const std::string& folder) {
  FARSHORE_TRY_ASSIGN(const std::vector<std::string> names, files.list(folder));
  std::vector<CertificateFacts> all;
  for (const std::string& name : names) {
    if (!name.ends_with(".crt")) continue;
    FARSHORE_TRY_ASSIGN(CertificateFacts facts,
                        read_certificate(files, fmt::format("{}/{}", folder, name)));
    all.push_back(std::move(facts));
  }
  if (all.empty())
    return permanent(ErrorKind::not_found, "'{}' holds no certificate: `farshore init` makes them",
                     folder);
  std::stable_partition(all.begin(), all.end(),
                        [](const CertificateFacts& facts) { return facts.is_authority; });
  return all;
}

int days_left(const CertificateFacts& facts, WallTime now) {
  return static_cast<int>(std::chrono::floor<std::chrono::days>(facts.not_after - now).count());
}

std::string days_text(const CertificateFacts& facts, WallTime now) {
  const int left = days_left(facts, now);
  const int ago =
      static_cast<int>(std::chrono::floor<std::chrono::days>(now - facts.not_after).count());
  const int days = left < 0 ? ago : left;
  const std::string count = days_count(days);
  if (left >= 0) return count + " left";
  return ago == 0 ? "expired today" : fmt::format("expired {} ago", count);
}

std::string expiry_warning(const CertificateFacts& facts, WallTime now) {
  const int days = days_left(facts, now);
  if (days > kWarnDays) return "";
  const std::string remedy = facts.is_authority
                                 ? "farshore cert renew, then copy ca.crt to all regions"
                                 : "farshore cert renew --region " + facts.subject;
  const std::string when = format_time(facts.not_after);
  if (facts.not_after <= now)
    return fmt::format("certificate '{}' expired on {}: {}", facts.subject, when, remedy);
  return fmt::format("certificate '{}' expires in {}, on {}: {}", facts.subject, days_count(days),
                     when, remedy);
}

Result<void> check_region_files(os::World& world, const std::string& folder,
                                const std::string& region) {
  os::Files& files = world.files();
  const std::string path = certificate_path(folder, region);
  const auto missing = [&](Error error) {
    if (error.kind == ErrorKind::not_found)
      error.what += fmt::format(
          ": bring ca.crt, {0}.crt and {0}.key here from the FOLDER that `farshore init` wrote",
          region);
    return error;
  };
  auto authority_file = load_certificate(files, certificate_path(folder, kAuthority));
  if (!authority_file.ok()) return missing(std::move(authority_file).error());
  const Certificate authority = *std::move(authority_file);
  auto loaded = load_pair(files, folder, region);
  if (!loaded.ok()) return missing(std::move(loaded).error());
  const Pair pair = *std::move(loaded);
  const CertificateFacts facts = facts_of(pair.certificate.get(), path);
  if (facts.subject != region)
    return permanent(ErrorKind::invalid,
                     "'{}' is of region '{}', not of '{}': farshore cert renew --region {}", path,
                     facts.subject, region, region);
  if (X509_check_issued(authority.get(), pair.certificate.get()) != X509_V_OK ||
      X509_verify(pair.certificate.get(), X509_get0_pubkey(authority.get())) != 1) {
    (void)openssl_reason();
    return permanent(ErrorKind::invalid,
                     "'{}' was not signed by '{}': take both from one `farshore init`", path,
                     certificate_path(folder, kAuthority));
  }
  const WallTime now = world.clock().wall();
  for (const CertificateFacts& one :
       {facts, facts_of(authority.get(), certificate_path(folder, kAuthority))}) {
    if (one.not_after <= now) return permanent(ErrorKind::denied, "{}", expiry_warning(one, now));
    if (one.not_before > now)
      return permanent(ErrorKind::denied, "'{}' is valid from {}: this machine's clock says {}",
                       one.path, format_time(one.not_before), format_time(now));
  }
  return {};
}

}  // namespace farshore::identity
