#include "api/server.h"

#include <httplib.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "api/door.h"
#include "api/routes.h"
#include "api/worker_pool.h"
#include "os/mutex.h"
#include "os/thread.h"

namespace farshore::api {
namespace {

constexpr std::size_t kPathMax = 1024;
constexpr Duration kFollowStep =
    1s;  // how long a follower's thread waits before it looks whether to stop
constexpr Duration kFollowBlank =
    10s;  // an empty line after so long: finds connections that are gone
constexpr Duration kListenAgain = 200ms;  // after accept failed
constexpr int kSocketTimeoutSeconds = 5;

std::string header_text(const std::string& text, std::size_t max) {
  std::string shown;
  for (char c : text.substr(0, max))
    if (static_cast<unsigned char>(c) >= ' ' && c != '\x7f') shown += c;
  return shown;
}

Request request_of(const httplib::Request& http) {
  Request request{.method = http.method,
                  .path = http.path,
                  .body = http.body,
                  .content_type = http.get_header_value("Content-Type"),
                  .host = http.get_header_value("Host"),
                  .authorization = http.get_header_value("Authorization")};
  for (const auto& [name, value] : http.params) request.query.emplace(name, value);
  const std::string operator_name = header_text(http.get_header_value("Farshore-Operator"), 128);
  request.by =
      operator_name.empty() ? http.remote_addr : operator_name + " from " + http.remote_addr;
  return request;
}

void give(const Answer& answer, httplib::Response& response) {
  response.status = answer.status;
  response.set_content(answer.body, answer.content_type);
}

Error tls_error(const std::string& file, const char* what) {
  const char* reason = ERR_reason_error_string(ERR_get_error());
  return permanent(ErrorKind::invalid, "{}: {}: {}", file, what,
                   reason == nullptr ? "unknown" : reason);
}

Result<std::unique_ptr<httplib::Server>> make_http(const Options& options) {
  if (options.certificate.empty()) return std::make_unique<httplib::Server>();
  Result<void> loaded;
  auto server = std::make_unique<httplib::SSLServer>([&](SSL_CTX& context) {
    ERR_clear_error();
    SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION);
    if (SSL_CTX_use_certificate_chain_file(&context, options.certificate.c_str()) != 1)
      loaded = tls_error(options.certificate, "is no certificate in PEM form that can be read");
    else if (SSL_CTX_use_PrivateKey_file(&context, options.key.c_str(), SSL_FILETYPE_PEM) != 1)
      loaded = tls_error(options.key, "is no key of that certificate in PEM form that can be read");
    return loaded.ok();
  });
  FARSHORE_TRY(std::move(loaded));
  if (!server->is_valid()) return permanent(ErrorKind::invalid, "api: TLS could not be set up");
  return std::unique_ptr<httplib::Server>(std::move(server));
}

class HttpServer final : public Server {
 public:
  HttpServer(os::World& world, Agent& agent, Door door, std::unique_ptr<httplib::Server> http)
      : world_(world), agent_(agent), door_(std::move(door)), http_(std::move(http)) {}

  ~HttpServer() override {
    if (!listener_.joinable()) {
      if (socket_ >= 0) ::close(socket_);  // bound and never served: httplib would keep it
      return;
    }
    os::Lock lock(mutex_);
    stopping_ = true;
    bool told = false;
    while (!ended_) {
      if (!told && http_->is_running()) {
        http_->stop();
        told = true;
      }
      changed_.wait(lock, world_.after(5ms));
    }
    lock.unlock();
    listener_.join();
  }

  Result<void> open(const Options& options) {
    FARSHORE_TRY_ASSIGN(at_, parse_address(options.address));
    configure();
    return bind();
  }

  void serve() override {
    listener_ = os::Thread("api", [this](std::stop_token) { listen(); });
  }

  std::string address() const override {
    const bool bracket = at_.host.find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", bracket ? "[" : "", at_.host, bracket ? "]" : "", at_.port);
  }

 private:
  void configure() {
    http_->new_task_queue = [] { return new WorkerPool(kThreads, kWaitingMax); };
    http_->set_payload_max_length(kBodyMax);
    // One request a connection: an idle client holds no thread, and a refused request leaves
    // nothing behind on its connection that could be taken for another request.
    http_->set_keep_alive_max_count(1);
    http_->set_read_timeout(kSocketTimeoutSeconds);
    http_->set_write_timeout(kSocketTimeoutSeconds);
    http_->set_tcp_nodelay(true);
    http_->set_socket_options(
        [this](socket_t socket) {  // httplib's default lets two processes share the port
          const int on = 1;
          socket_ = socket;
          setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        });
    http_->set_default_headers(
        {{"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-store"}});
    http_->set_pre_routing_handler(
        [this](const httplib::Request& request, httplib::Response& response) {
          const bool has_body = request.method != "GET" && request.method != "HEAD";
          if (request.path.size() <= kPathMax && has_body)
            return httplib::Server::HandlerResponse::Unhandled;
          respond(request, response);
          return httplib::Server::HandlerResponse::Handled;
        });
    const auto handler = [this](const httplib::Request& request, httplib::Response& response) {
      respond(request, response);
    };
    http_->Post(".*", handler);
    http_->Put(".*", handler);
    http_->Patch(".*", handler);
    http_->Delete(".*", handler);
    http_->set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (!response.body.empty()) return;
      const int status = response.status;
      const char* what = status == 413   ? "the body is longer than the API takes"
                         : status == 404 ? "the API has no such method"
                                         : "the request is not understood";
      give(refusal(permanent(ErrorKind::invalid, "{}", what)), response);
      response.status = status;
    });
  }

  void respond(const httplib::Request& http, httplib::Response& response) {
    if (http.path.size() > kPathMax)
      return give(
          refusal(permanent(ErrorKind::invalid, "the path is longer than {} characters", kPathMax)),
          response);
    try {
      const Request request = request_of(http);
      if (const auto admitted = door_.admit(request); !admitted.ok()) {
        give(refusal(admitted.error()), response);
        if (!request.authorization.empty() || request.host.empty()) return;
        response.set_header("WWW-Authenticate", "Bearer");
      } else if (wants_follow(request)) {
        follow(request, response);
      } else {
        give(answer(agent_, request), response);
      }
    } catch (const std::exception& failure) {  // a broken invariant ends the request, not the agent
      give({.status = 500,
            .body = R"({"error":{"kind":"internal","what":"a broken invariant; see the log"}})"},
           response);
    }
  }

  void follow(const Request& request, httplib::Response& response) {
    auto query = event_query_of(agent_, request.query);
    if (!query.ok()) return give(refusal(query.error()), response);
    if (followers_.fetch_add(1) >= kFollowersMax) {
      --followers_;
      return give(refusal(transient(ErrorKind::unavailable, "{} clients follow events already",
                                    kFollowersMax)),
                  response);
    }
    auto blank_at = std::make_shared<MonotonicTime>(world_.now() + kFollowBlank);
    response.set_chunked_content_provider(
        "application/x-ndjson",
        [this, query = *query, blank_at](std::size_t, httplib::DataSink& sink) mutable {
          return follow_step(query, *blank_at, sink);
        },
        [this](bool) { --followers_; });
  }

  bool follow_step(events::EventQuery& query, MonotonicTime& blank_at, httplib::DataSink& sink) {
    if (stopping_) return false;
    const auto found = agent_.events(query, world_.after(kFollowStep));
    if (!found.ok()) return false;
    std::string lines;
    for (const events::StoredEvent& stored : *found) {
      lines += event_line(stored) + "\n";
      query.after = stored.id;
    }
    if (lines.empty() && world_.now() >= blank_at) lines = "\n";
    if (lines.empty()) return sink.is_writable();
    blank_at = world_.now() + kFollowBlank;
    return sink.write(lines.data(), lines.size());
  }

  Result<void> bind() {
    errno = 0;
    const int port = at_.port == 0                             ? http_->bind_to_any_port(at_.host)
                     : http_->bind_to_port(at_.host, at_.port) ? at_.port
                                                               : -1;
    if (port > 0) {
      at_.port = port;
      return {};
    }
    socket_ = -1;  // httplib has closed it
    const int code = errno;
    const char* remedy = code == EADDRINUSE ? "another process has that port: choose another or "
                                              "stop it"
                         : code == EACCES   ? "ports below 1024 need a privilege"
                                            : "does this machine have that address?";
    return permanent(ErrorKind::unavailable, "listen on '{}': {}: {}", address(),
                     code == 0 ? "no such address" : std::strerror(code), remedy);
  }

  // The listener's thread: accepts until told to stop; when accept failed (no memory, a connection
  // that was reset), it listens again.
  void listen() {
    while (true) {
      http_->listen_after_bind();
      os::Lock lock(mutex_);
      while (!stopping_) {
        changed_.wait(lock, world_.after(kListenAgain));
        if (bind().ok()) break;
      }
      if (!stopping_) continue;
      ended_ = true;
      changed_.notify_all();
      return;
    }
  }

  os::World& world_;
  Agent& agent_;
  const Door door_;
  const std::unique_ptr<httplib::Server> http_;
  HostPort at_;
  socket_t socket_ = -1;  // the last that was made
  std::atomic<int> followers_ = 0;
  std::atomic<bool> stopping_ = false;
  os::Mutex mutex_;
  os::CondVar changed_;
  bool ended_ = false;
  os::Thread listener_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::bind(os::World& world, const Options& options,
                                             Agent& agent) {
  FARSHORE_TRY(check(options));
  FARSHORE_TRY_ASSIGN(Door door, Door::make(options));
  FARSHORE_TRY_ASSIGN(auto http, make_http(options));
  auto server = std::make_unique<HttpServer>(world, agent, std::move(door), std::move(http));
  FARSHORE_TRY(server->open(options));
  return std::unique_ptr<Server>(std::move(server));
}

Result<std::unique_ptr<Server>> Server::start(os::World& world, const Options& options,
                                              Agent& agent) {
  FARSHORE_TRY_ASSIGN(auto server, bind(world, options, agent));
  server->serve();
  return server;
}

}  // namespace farshore::api
