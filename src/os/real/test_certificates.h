// Certificates for tests: a CA of their own and certificates of it, written as PEM files. Never for
// use elsewhere: keys are small and nothing is kept secret.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <string>

#include "base/check.h"
#include "os/real/real_world.h"

namespace farshore::os {

class TestCa {
 public:
  // Files go into `folder`, which must exist and outlive the TlsFiles given out.
  TestCa(std::string folder, std::string name)
      : folder_(std::move(folder)), name_(std::move(name)) {
    certificate_ = sign(key_.get(), name_, name_, true, 365);
    write(path("ca"), [&](FILE* file) { return PEM_write_X509(file, certificate_.get()); });
  }

  // A certificate with this common name, valid for `days` from yesterday (0: expired).
  TlsFiles make(const std::string& common_name, long days = 30) {
    const Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    const Certificate made = sign(key.get(), common_name, name_, false, days);
    const TlsFiles files{path("ca"), path(common_name + ".crt"), path(common_name + ".key")};
    write(files.certificate, [&](FILE* file) { return PEM_write_X509(file, made.get()); });
    write(files.key, [&](FILE* file) {
      return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    return files;
  }

 private:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

  static void set_name(X509_NAME* into, const std::string& name) {
    X509_NAME_add_entry_by_txt(into, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.data()),
                               static_cast<int>(name.size()), -1, 0);
  }

  Certificate sign(EVP_PKEY* of, const std::string& subject, const std::string& issuer, bool is_ca,
                   long days) {
    constexpr long kDay = 24 * 3600;
    Certificate made(X509_new(), X509_free);
    X509_set_version(made.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -kDay);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), days == 0 ? -60 : days * kDay);
    set_name(X509_get_subject_name(made.get()), subject);
    set_name(X509_get_issuer_name(made.get()), issuer);
    X509_set_pubkey(made.get(), of);
    if (is_ca) {
      X509_EXTENSION* extension =
          X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE");
      X509_add_ext(made.get(), extension, -1);
      X509_EXTENSION_free(extension);
    }
    FARSHORE_CHECK(X509_sign(made.get(), key_.get(), EVP_sha256()) > 0, "cannot sign '{}'",
                   subject);
    return made;
  }

  std::string path(const std::string& what) const { return folder_ + "/" + name_ + "-" + what; }

  template <class Write>
  static void write(const std::string& to, Write write_pem) {
    FILE* file = std::fopen(to.c_str(), "w");
    FARSHORE_CHECK(file != nullptr, "cannot write '{}'", to);
    write_pem(file);
    std::fclose(file);
  }

  const std::string folder_, name_;
  long serial_ = 0;
  Key key_{EVP_EC_gen("P-256"), EVP_PKEY_free};
  Certificate certificate_{nullptr, X509_free};
};

}  // namespace farshore::os
