#include "identity/pem.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

namespace farshore::identity {
namespace {

using Bio = std::unique_ptr<BIO, OpenSslDeleter>;

Bio memory_of(ByteView bytes) {
  return Bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

Bytes contents_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return Bytes(data, static_cast<std::size_t>(size));
}

// Without it OpenSSL would ask on the terminal for the password of an encrypted key.
int no_password(char*, int, int, void*) {
  return -1;
}

}  // namespace

std::string openssl_reason() {
  const char* text = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return text == nullptr ? "no reason given" : text;
}

Result<Key> make_key() {
  Key key(EVP_EC_gen("P-256"));
  if (key == nullptr)
    return permanent(ErrorKind::io, "OpenSSL makes no EC P-256 key: {}", openssl_reason());
  return key;
}

Bytes pem_of(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_mem()));
  FARSHORE_CHECK(
      PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
      "OpenSSL does not write a key: {}", openssl_reason());
  return contents_of(bio.get());
}

Bytes pem_of(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  FARSHORE_CHECK(PEM_write_bio_X509(bio.get(), certificate) == 1,
                 "OpenSSL does not write a certificate: {}", openssl_reason());
  return contents_of(bio.get());
}

Result<Key> key_from(ByteView pem, const std::string& path) {
  const Bio bio = memory_of(pem);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (key == nullptr)
    return permanent(ErrorKind::invalid, "'{}' is not a private key in PEM without a password: {}",
                     path, openssl_reason());
  return key;
}

Result<Certificate> certificate_from(ByteView pem, const std::string& path) {
  const Bio bio = memory_of(pem);
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr));
  if (certificate == nullptr)
    return permanent(ErrorKind::invalid, "'{}' is not a certificate in PEM: {}", path,
                     openssl_reason());
  return certificate;
}

}  // namespace farshore::identity
