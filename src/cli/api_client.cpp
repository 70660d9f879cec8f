#include "cli/api_client.h"

#include <httplib.h>
#include <openssl/x509_vfy.h>
#include <unistd.h>

#include <cstdlib>

#include "base/units.h"
#include "cli/api_address.h"
#include "cli/command_line.h"
#include "os/real/real_world.h"
#include "os/secret_file.h"

namespace farshore::cli {
namespace {

constexpr auto kConnectTimeout = 3s;
constexpr auto kOthersTimeout = 90s;  // check, grants and verbs ask databases or other regions
constexpr std::size_t kLineMax = 1 << 20;

std::string operator_name() {
  const char* user = std::getenv("USER");
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  return fmt::format("{}@{}", user == nullptr ? std::to_string(getuid()) : user, host);
}

ErrorKind kind_of(const std::string& name) {
  constexpr ErrorKind kinds[] = {ErrorKind::invalid, ErrorKind::unavailable, ErrorKind::timeout,
                                 ErrorKind::closed,  ErrorKind::io,          ErrorKind::disk_full,
                                 ErrorKind::corrupt, ErrorKind::overtaken,   ErrorKind::conflict,
                                 ErrorKind::denied,  ErrorKind::rejected,    ErrorKind::not_found};
  for (ErrorKind kind : kinds)
    if (name == farshore::name_of(kind)) return kind;
  return ErrorKind::unavailable;
}

bool not_reached(httplib::Error error) {
  return error == httplib::Error::Connection || error == httplib::Error::ConnectionTimeout;
}

const char* why(httplib::Error error, bool https) {
  switch (error) {
    case httplib::Error::Connection:
      return "connection refused";
    case httplib::Error::ConnectionTimeout:
      return "it does not answer";
    case httplib::Error::Read:
      return https ? "it does not answer"
                   : "it does not answer; with api_token_file an agent speaks https";
    case httplib::Error::SSLConnection:
      return "TLS failed; without api_token_file an agent speaks http";
    case httplib::Error::SSLLoadingCerts:
      return "TLS failed";
    default:
      return "the connection broke";
  }
}

class HttpClient final : public ApiClient {
 public:
  HttpClient(const ApiEndpoint& endpoint, const ApiAddress& at, const std::string& token)
      : url_(endpoint.url),
        ca_(endpoint.ca),
        name_(at.https ? endpoint.name : ""),
        host_(at.host),
        answers_within_(endpoint.answers_within),
        http_(name_.empty() ? endpoint.url : fmt::format("https://{}:{}", name_, at.port)) {
    if (!name_.empty()) addresses_ = numeric_addresses(at.host);
    http_.set_connection_timeout(kConnectTimeout);
    http_.set_tcp_nodelay(true);
    http_.set_url_encode(false);
    httplib::Headers headers{{"Farshore-Operator", operator_name()}};
    if (!name_.empty()) headers.emplace("Host", at.text());
    if (!token.empty()) headers.emplace("Authorization", "Bearer " + token);
    http_.set_default_headers(headers);
    if (!endpoint.ca.empty()) http_.set_ca_cert_path(endpoint.ca);
    http_.enable_server_certificate_verification(true);
  }

  Reply get(const std::string& path, const Query& query, Patience patience) override {
    http_.set_read_timeout(answers_within_);
    if (patience == Patience::for_others)
      if (const auto alive = wait_for_others(); !alive) return unreachable(alive.error());
    return reply_of(ask([&] { return http_.Get(with(path, query)); }));
  }

  Reply post(const std::string& path, const Json& body) override {
    if (const auto alive = wait_for_others(); !alive) return unreachable(alive.error());
    return reply_of(ask([&] { return http_.Post(path, body.dump(), "application/json"); }));
  }

  Reply follow(const std::string& path, const Query& query,
               std::function<bool(const std::string&)> take) override {
    std::string rest, refusal;
    bool refused = false, ended_by_us = false;
    const auto head = [&](const httplib::Response& response) {
      refused = response.status != 200;
      return true;
    };
    const auto body = [&](const char* data, std::size_t size) {
      if (refused) return refusal.append(data, size).size() < kLineMax;
      rest.append(data, size);
      std::size_t begin = 0;
      for (std::size_t end; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
        if (end > begin && !take(rest.substr(begin, end - begin))) {
          ended_by_us = true;
          return false;
        }
      }
      rest.erase(0, begin);
      return rest.size() < kLineMax;
    };
    if (const auto alive = wait_for_others(); !alive) return unreachable(alive.error());
    const auto result = ask([&] { return http_.Get(with(path, query), head, body); });
    if (ended_by_us) return {};
    if (refused) return refusal_of(refusal);
    return result ? Reply{} : unreachable(result.error());
  }

  const std::string& url() const override { return url_; }

 private:
  // httplib verifies the host of its URL, which is then the name, and connects to another address.
  template <class Ask>
  httplib::Result ask(Ask once) {
    for (std::size_t i = 0; i + 1 < addresses_.size(); ++i) {
      http_.set_hostname_addr_map({{name_, addresses_[i]}});
      httplib::Result result = once();
      if (result || !not_reached(result.error())) return result;
    }
    if (!addresses_.empty()) http_.set_hostname_addr_map({{name_, addresses_.back()}});
    return once();
  }

  // A port may take connections and be mute: long waits are only for an agent that is alive.
  httplib::Result wait_for_others() {
    http_.set_read_timeout(answers_within_);
    httplib::Result alive = ask([&] { return http_.Get("/healthz"); });
    http_.set_read_timeout(kOthersTimeout);
    return alive;
  }

  static std::string with(const std::string& path, const Query& query) {
    std::string text = path;
    char before = '?';
    for (const auto& [name, value] : query) {
      text += fmt::format("{}{}={}", before, name, escaped(value));
      before = '&';
    }
    return text;
  }

  Reply reply_of(const httplib::Result& result) const {
    if (!result) return unreachable(result.error());
    if (result->status != 200) return refusal_of(result->body);
    auto json = Json::parse(result->body, nullptr, false);
    if (json.is_discarded()) return refusal_of(result->body);
    return {.json = std::move(json)};
  }

  Reply refusal_of(const std::string& body) const {
    const auto json = Json::parse(body, nullptr, false);
    if (json.is_object() && json.contains("error") && json["error"].is_object())
      return {.outcome = Reply::Outcome::refused,
              .error = Error{kind_of(json["error"].value("kind", "")), Retry::no,
                             json["error"].value("what", "")}};
    return {.outcome = Reply::Outcome::refused,
            .error = permanent(ErrorKind::unavailable, "{} does not answer like a Farshore agent",
                               url_)};
  }

  Reply unreachable(httplib::Error error) const {
    if (error == httplib::Error::SSLServerVerification)
      return {.outcome = Reply::Outcome::unreachable, .error = not_trusted()};
    return {.outcome = Reply::Outcome::unreachable,
            .error = transient(ErrorKind::unavailable,
                               "no agent answers at {} ({}): start it with `farshore run --region "
                               "REGION`, or say where "
                               "it is with --api URL",
                               url_, why(error, url_.starts_with("https://")))};
  }

  // Of a chain that is valid it was the name.
  Error not_trusted() const {
    const long code = http_.get_openssl_verify_result();
    if (code == X509_V_OK && name_.empty())
      return permanent(ErrorKind::denied,
                       "the certificate at {} has another name than '{}': an agent's has that of "
                       "its region, say it with --region REGION",
                       url_, host_);
    if (code == X509_V_OK)
      return permanent(ErrorKind::denied,
                       "the certificate at {} has another name than '{}': say with --region whose "
                       "agent answers there, or with --api URL where that of '{}' is",
                       url_, name_, name_);
    if (code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID)
      return permanent(ErrorKind::denied,
                       "the certificate at {} is not valid: {}: `farshore cert renew` makes a new "
                       "one, where the regions' authority is",
                       url_, X509_verify_cert_error_string(code));
    if (ca_.empty())
      return permanent(ErrorKind::denied,
                       "the certificate at {} is not of an authority that this machine trusts: "
                       "name that of the regions, ca.crt of their tls folder, with --ca FILE",
                       url_);
    return permanent(ErrorKind::denied,
                     "the certificate at {} is not of the authority {} ({}): name that of its "
                     "regions with --ca FILE",
                     url_, ca_, X509_verify_cert_error_string(code));
  }

  const std::string url_;
  const std::string ca_;
  const std::string name_;  // that the certificate must bear; empty: host_
  const std::string host_;  // of url_
  const Duration answers_within_;
  std::vector<std::string> addresses_;  // numbers, of host_; empty: httplib resolves it
  httplib::Client http_;
};

}  // namespace

int Reply::exit_code() const {
  if (outcome == Outcome::answered) return kDone;
  if (outcome == Outcome::unreachable) return kUnreachable;
  return error.kind == ErrorKind::invalid ? kUsage : kRefused;
}

Result<std::unique_ptr<ApiClient>> ApiClient::make(const ApiEndpoint& endpoint) {
  FARSHORE_TRY_ASSIGN(const ApiAddress at, parse_api_url(endpoint.url));
  std::string token;
  if (!endpoint.token_file.empty()) {
    auto line = os::read_secret_line(endpoint.token_file);
    if (!line.ok() && line.error().kind == ErrorKind::invalid)
      return permanent(ErrorKind::invalid, "{}: it holds the token of the agent's api_token_file",
                       line.error().what);
    FARSHORE_TRY_ASSIGN(token, std::move(line));
  }
  if (at.https && !endpoint.ca.empty()) {
    const auto world = os::make_real_world(std::nullopt);
    FARSHORE_TRY(world->files().open(endpoint.ca, os::OpenMode::read));
  }
  return std::unique_ptr<ApiClient>(std::make_unique<HttpClient>(endpoint, at, std::move(token)));
}

std::string escaped(const std::string& name) {
  std::string out;
  for (char c : name) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace farshore::cli
