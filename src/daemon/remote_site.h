// What an agent asks of a site of another region through that region's agent, for `check`: the
// tables of a stream at its source, or how a target's tables differ from them. One question and one
// answer on a channel of its own, "check/STREAM/SITE". Format: docs/formats/ship.md.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "config/config.h"
#include "link/link.h"
#include "os/mutex.h"
#include "os/thread.h"
#include "pipeline/ship_loop.h"
#include "site/site.h"

namespace farshore::daemon {

struct SiteQuestion {
  std::string description;  // empty: what are the stream's tables (Site::describe)
};
struct SiteAnswer {
  std::string description;        // of describe
  std::vector<Finding> findings;  // of compare
};
Result<SiteAnswer> answer_to(Site& site, const SiteQuestion& question);
std::string to_json(const SiteQuestion& question);
Result<SiteQuestion> question_from_json(std::string_view json);  // corrupt
std::string to_json(const Result<SiteAnswer>& answer);
Result<SiteAnswer> answer_from_json(std::string_view json);  // corrupt, or the answer's own error

// How a site of another region is asked.
using AskElsewhere = std::function<Result<SiteAnswer>(
    const config::StreamConfig& stream, const std::string& site, const SiteQuestion& question)>;

// unavailable: no link stands, or that agent knows no such question.
Result<SiteAnswer> ask_site(const pipeline::Dial& dial, const std::string& stream,
                            const std::string& site, const SiteQuestion& question,
                            Deadline deadline, std::stop_token stop = {});

// Answers the questions of other regions, each in a thread of its own: databases are asked.
// close() ends those that run and waits for them; the destructor closes. Threads: any.
class SiteAnswers {
 public:
  static constexpr std::size_t kAtOnce = 4;  // further ones are closed unanswered

  SiteAnswers(os::World& world, const config::Config& config) : world_(world), config_(config) {}
  ~SiteAnswers() { close(); }

  // Does not block.
  void answer(const config::StreamConfig& stream, const std::string& site,
              std::unique_ptr<link::Channel> channel);
  void close();

 private:
  struct Running {
    std::atomic<bool> done = false;
    std::unique_ptr<link::Channel> channel;
    os::Thread thread;
  };
  void run(Running& running, const config::StreamConfig& stream, const std::string& site,
           std::stop_token stop);

  os::World& world_;
  const config::Config& config_;
  os::Mutex mutex_;
  bool closed_ = false;
  std::vector<std::unique_ptr<Running>> running_;
};

}  // namespace farshore::daemon
