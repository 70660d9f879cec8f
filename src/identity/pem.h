// OpenSSL's objects with owners, and their PEM texts.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace farshore::identity {

struct OpenSslDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(BIGNUM* number) const { BN_free(number); }
};
using Key = std::unique_ptr<EVP_PKEY, OpenSslDeleter>;
using Certificate = std::unique_ptr<X509, OpenSslDeleter>;

Result<Key> make_key();  // EC P-256
Bytes pem_of(EVP_PKEY* key);
Bytes pem_of(X509* certificate);
// `path` is for the message.
Result<Key> key_from(ByteView pem, const std::string& path);
Result<Certificate> certificate_from(ByteView pem, const std::string& path);

// OpenSSL's newest complaint, and forgets it.
std::string openssl_reason();

}  // namespace farshore::identity
