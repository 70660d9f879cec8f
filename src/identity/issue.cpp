#include "identity/issue.h"

#include <openssl/bn.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <vector>

namespace farshore::identity {
namespace {

constexpr int kSerialBits = 127;  // positive, and within the 20 bytes of RFC 5280

struct Extension {
  int nid;
  std::string value;  // as of openssl's x509v3_config
};

Error refused(const char* doing) {
  return permanent(ErrorKind::io, "OpenSSL refuses its {}: {}", doing, openssl_reason());
}

Result<void> set_serial(X509* certificate) {
  const std::unique_ptr<BIGNUM, OpenSslDeleter> number(BN_new());
  if (number == nullptr ||
      BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) != 1 ||
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) == nullptr)
    return refused("serial number");
  return {};
}

Result<void> set_time(ASN1_TIME* field, WallTime time) {
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
  if (ASN1_TIME_set(field, seconds) == nullptr) return refused("time");
  return {};
}

Result<void> add_extension(X509* certificate, X509* authority, const Extension& extension) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, authority, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, OpenSslDeleter> made(
      X509V3_EXT_conf_nid(nullptr, &context, extension.nid, extension.value.c_str()));
  if (made == nullptr || X509_add_ext(certificate, made.get(), -1) != 1)
    return refused(OBJ_nid2sn(extension.nid));
  return {};
}

// `authority` nullptr: self-signed.
Result<Certificate> make(EVP_PKEY* key, const std::string& common_name, X509* authority,
                         EVP_PKEY* authority_key, Validity validity,
                         const std::vector<Extension>& extensions) {
  Certificate certificate(X509_new());
  X509* raw = certificate.get();
  if (raw == nullptr || X509_set_version(raw, X509_VERSION_3) != 1) return refused("version");
  FARSHORE_TRY(set_serial(raw));
  FARSHORE_TRY(set_time(X509_getm_notBefore(raw), validity.from));
  FARSHORE_TRY(set_time(X509_getm_notAfter(raw), validity.until));
  const auto* name = reinterpret_cast<const unsigned char*>(common_name.data());
  if (X509_NAME_add_entry_by_NID(X509_get_subject_name(raw), NID_commonName, MBSTRING_UTF8, name,
                                 static_cast<int>(common_name.size()), -1, 0) != 1)
    return refused("common name");
  X509* issuer = authority == nullptr ? raw : authority;
  if (X509_set_issuer_name(raw, X509_get_subject_name(issuer)) != 1 ||
      X509_set_pubkey(raw, key) != 1)
    return refused("issuer and key");
  for (const Extension& extension : extensions) FARSHORE_TRY(add_extension(raw, issuer, extension));
  if (X509_sign(raw, authority == nullptr ? key : authority_key, EVP_sha256()) == 0)
    return refused("signature");
  return certificate;
}

Result<Certificate> issue(EVP_PKEY* key, const std::string& common_name, X509* authority,
                          EVP_PKEY* authority_key, Validity validity,
                          const std::vector<Extension>& extensions) {
  auto made = make(key, common_name, authority, authority_key, validity, extensions);
  if (made) return made;
  return within(fmt::format("certificate '{}'", common_name), std::move(made).error());
}

}  // namespace

Result<Certificate> issue_authority(EVP_PKEY* key, const std::string& common_name,
                                    Validity validity) {
  return issue(key, common_name, nullptr, nullptr, validity,
               {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                {NID_key_usage, "critical,keyCertSign,cRLSign"},
                {NID_subject_key_identifier, "hash"}});
}

Result<Certificate> issue_region(EVP_PKEY* key, const std::string& region, X509* authority,
                                 EVP_PKEY* authority_key, Validity validity) {
  return issue(key, region, authority, authority_key, validity,
               {{NID_basic_constraints, "critical,CA:FALSE"},
                {NID_key_usage, "critical,digitalSignature"},
                {NID_ext_key_usage, "serverAuth,clientAuth"},
                {NID_subject_alt_name, "DNS:" + region},
                {NID_subject_key_identifier, "hash"},
                {NID_authority_key_identifier, "keyid:always"}});
}

std::string common_name_of(const X509_NAME* name) {
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0) return "";
  unsigned char* text = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (size < 0) return "";
  std::string copy(reinterpret_cast<char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return copy;
}

WallTime time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

}  // namespace farshore::identity
