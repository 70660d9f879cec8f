#include "os/real/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace farshore::os {
namespace {

constexpr std::size_t kReadBufferBytes = 64 * 1024;

// OpenSSL reports an alert of the peer as reason 1000 + alert number (RFC 8446 section 6).
constexpr int kAlertOffset = 1000;
constexpr int kAlertBadCertificate = 42, kAlertRevoked = 44, kAlertExpired = 45,
              kAlertUnknownCertificate = 46, kAlertUnknownCa = 48, kAlertCertificateRequired = 116;

std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* text = ERR_reason_error_string(code);
  if (ERR_SYSTEM_ERROR(code)) text = std::strerror(ERR_GET_REASON(code));
  ERR_clear_error();
  return text != nullptr ? text : "no reason given";
}

// Changes whenever one of the files is replaced or written.
std::string state_of(const TlsFiles& files) {
  std::string state;
  for (const std::string* path : {&files.ca, &files.certificate, &files.key}) {
    struct stat info{};
    if (stat(path->c_str(), &info) != 0) continue;
    state += fmt::format("{}:{}:{}.{};", info.st_ino, info.st_size, info.st_mtim.tv_sec,
                         info.st_mtim.tv_nsec);
  }
  return state;
}

Error file_problem(const char* role, const std::string& path, const char* remedy) {
  return transient(ErrorKind::denied, "{} '{}' cannot be used: {}: {}", role, path,
                   openssl_reason(), remedy);
}

// OpenSSL decodes the extensions of a certificate when it is first asked for them: that is done
// here, before several threads share it.
void decode_authorities(SSL_CTX* context) {
  const STACK_OF(X509_OBJECT)* held = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
  for (int i = 0; i < sk_X509_OBJECT_num(held); ++i)
    if (X509* authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(held, i)))
      (void)X509_check_purpose(authority, -1, 0);  // what is wrong with one shows in the handshake
}

Result<SslContextPointer> make_context(const TlsFiles& files) {
  ERR_clear_error();
  SslContextPointer context(SSL_CTX_new(TLS_method()));
  FARSHORE_CHECK(context != nullptr, "OpenSSL gives no context: {}", openssl_reason());
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(raw, 1);  // several records per system call
  SSL_CTX_set_default_read_buffer_len(raw, kReadBufferBytes);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  // No resumption: each connection shows its certificate anew, so a withdrawn one does not live on.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);
  if (SSL_CTX_load_verify_file(raw, files.ca.c_str()) != 1) {
    return file_problem("CA", files.ca, "it must be the PEM file that both regions trust");
  }
  decode_authorities(raw);
  if (SSL_CTX_use_certificate_chain_file(raw, files.certificate.c_str()) != 1) {
    return file_problem("certificate", files.certificate,
                        "make it with 'farshore init' or 'farshore cert renew'");
  }
  if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return file_problem("key", files.key,
                        "it must be readable by this user and belong to the certificate");
  }
  if (SSL_CTX_check_private_key(raw) != 1) {
    return file_problem("key", files.key, "it does not belong to the certificate");
  }
  return context;
}

bool is_certificate_alert(int alert) {
  switch (alert) {
    case kAlertBadCertificate:
    case kAlertRevoked:
    case kAlertExpired:
    case kAlertUnknownCertificate:
    case kAlertUnknownCa:
    case kAlertCertificateRequired:
      return true;
    default:
      return false;
  }
}

const char* verify_remedy(long problem) {
  switch (problem) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "renew it there with 'farshore cert renew', then it connects by itself";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "one of the two clocks is wrong";
    default:
      return "it must come from the CA that both regions have in their configuration";
  }
}

}  // namespace

Result<void> TlsIdentity::load_when_changed() {
  std::string state = state_of(files_);
  if (context_ != nullptr && state == loaded_state_) return {};
  FARSHORE_TRY_ASSIGN(SslContextPointer fresh, make_context(files_));
  context_ = std::move(fresh);
  loaded_state_ = std::move(state);
  return {};
}

Result<SslPointer> TlsIdentity::make_ssl(int fd, bool server) {
  Lock lock(mutex_);
  FARSHORE_TRY(load_when_changed());
  SslPointer ssl(SSL_new(context_.get()));
  FARSHORE_CHECK(ssl != nullptr && SSL_set_fd(ssl.get(), fd) == 1,
                 "OpenSSL gives no connection: {}", openssl_reason());
  if (server) {
    SSL_set_accept_state(ssl.get());
  } else {
    SSL_set_connect_state(ssl.get());
  }
  return ssl;
}

TlsOutcome tls_outcome(SSL* ssl, int returned) {
  if (returned > 0) return TlsOutcome::done;
  switch (SSL_get_error(ssl, returned)) {
    case SSL_ERROR_WANT_READ:
      return TlsOutcome::want_read;
    case SSL_ERROR_WANT_WRITE:
      return TlsOutcome::want_write;
    default:
      return TlsOutcome::failed;
  }
}

Error tls_error(SSL* ssl, int returned, const std::string& peer) {
  const int kind = SSL_get_error(ssl, returned);
  const int system_code = errno;
  const int reason = ERR_GET_REASON(ERR_peek_last_error());
  if (kind == SSL_ERROR_ZERO_RETURN || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    ERR_clear_error();
    return transient(ErrorKind::unavailable, "{} closed the connection", peer);
  }
  if (kind == SSL_ERROR_SYSCALL) {
    ERR_clear_error();
    return transient(ErrorKind::unavailable, "connection to {}: {}", peer,
                     system_code != 0 ? std::strerror(system_code) : "closed by the other side");
  }
  if (const long problem = SSL_get_verify_result(ssl); problem != X509_V_OK) {
    ERR_clear_error();
    return transient(ErrorKind::denied, "certificate of {} is refused: {}: {}", peer,
                     X509_verify_cert_error_string(problem), verify_remedy(problem));
  }
  if (is_certificate_alert(reason - kAlertOffset)) {
    return transient(ErrorKind::denied,
                     "{} refuses our certificate: {}: it must be valid and come from the CA that "
                     "both regions have in "
                     "their configuration",
                     peer, openssl_reason());
  }
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    ERR_clear_error();
    return transient(ErrorKind::denied, "{} shows no certificate: give it one with 'farshore init'",
                     peer);
  }
  return transient(ErrorKind::unavailable,
                   "TLS with {}: {}: is it a Farshore agent that listens there?", peer,
                   openssl_reason());
}

Result<std::string> certificate_name(SSL* ssl, const std::string& peer) {
  const X509* certificate = SSL_get0_peer_certificate(ssl);
  FARSHORE_CHECK(certificate != nullptr, "a handshake ended without a certificate of {}", peer);
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (first < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, first) >= 0) {
    return transient(ErrorKind::denied,
                     "the certificate of {} must have exactly one common name, its region", peer);
  }
  unsigned char* text = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, first)));
  if (size < 0)
    return transient(ErrorKind::denied, "the certificate of {} has an unreadable common name",
                     peer);
  std::string name(reinterpret_cast<char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return name;
}

}  // namespace farshore::os
