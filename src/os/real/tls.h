// TLS of the real network: TLS 1.3 only, both sides show a certificate of the one CA. OpenSSL 3.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "os/mutex.h"
#include "os/real/real_world.h"

namespace farshore::os {

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
struct FreeSslContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslPointer = std::unique_ptr<SSL, FreeSsl>;
using SslContextPointer = std::unique_ptr<SSL_CTX, FreeSslContext>;

// Our certificate, key and CA. Read anew when a file changed, so a renewed certificate serves the
// next connection. Any thread.
class TlsIdentity {
 public:
  explicit TlsIdentity(TlsFiles files) : files_(std::move(files)) {}

  // An SSL over the socket `fd`, which it does not own, ready to shake hands.
  Result<SslPointer> make_ssl(int fd, bool server);

 private:
  Result<void> load_when_changed();

  const TlsFiles files_;
  Mutex mutex_;
  std::string loaded_state_;  // of the files, when context_ was made
  SslContextPointer context_;
};

enum class TlsOutcome { done, want_read, want_write, failed };

// One SSL call's outcome; the calling thread's OpenSSL errors must have been cleared before it.
TlsOutcome tls_outcome(SSL* ssl, int returned);
// Why it failed: denied for certificates, unavailable when the peer is gone. Uses up the thread's
// OpenSSL errors.
Error tls_error(SSL* ssl, int returned, const std::string& peer);
// The certificate's one common name. denied when it has none or several.
Result<std::string> certificate_name(SSL* ssl, const std::string& peer);

}  // namespace farshore::os
