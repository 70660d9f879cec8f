#include "daemon/remote_site.h"

#include <nlohmann/json.hpp>

#include "daemon/engine.h"
#include "link/long_message.h"

namespace farshore::daemon {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;
constexpr Duration kQuestionWait = 10s;  // of a question, once its channel is open
constexpr Duration kSendWait = 10s;
constexpr std::size_t kFindingsMax = 10'000;

std::string text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<json> object_from(std::string_view text, const char* what) {
  json value = json::parse(text, nullptr, false);
  const auto version = value.is_object() ? value.find("version") : value.end();
  if (!value.is_object() || version == value.end() || *version != kVersion)
    return permanent(ErrorKind::corrupt, "not {} of version {}", what, kVersion);
  return value;
}

std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

Finding finding_from(const json& value) {
  const std::string level = text_at(value, "level");
  return {.level = level == "note"      ? FindingLevel::note
                   : level == "warning" ? FindingLevel::warning
                                        : FindingLevel::error,
          .code = text_at(value, "code"),
          .object = text_at(value, "object"),
          .message = text_at(value, "message"),
          .remedy = text_at(value, "remedy")};
}

const char* name_of(FindingLevel level) {
  switch (level) {
    case FindingLevel::note:
      return "note";
    case FindingLevel::warning:
      return "warning";
    case FindingLevel::error:
      break;
  }
  return "error";
}

}  // namespace

Result<SiteAnswer> answer_to(Site& site, const SiteQuestion& question) {
  SiteAnswer answer;
  if (question.description.empty()) {
    FARSHORE_TRY_ASSIGN(answer.description, site.describe());
  } else {
    FARSHORE_TRY_ASSIGN(answer.findings, site.compare(question.description));
  }
  return answer;
}

std::string to_json(const SiteQuestion& question) {
  const bool describe = question.description.empty();
  json out{{"version", kVersion}, {"ask", describe ? "describe" : "compare"}};
  if (!describe) out["description"] = question.description;
  return text_of(out);
}

Result<SiteQuestion> question_from_json(std::string_view text) {
  FARSHORE_TRY_ASSIGN(const json value, object_from(text, "a question"));
  const std::string ask = text_at(value, "ask");
  SiteQuestion question{.description = text_at(value, "description")};
  if (ask != "describe" && (ask != "compare" || question.description.empty()))
    return permanent(ErrorKind::corrupt, "no such question: '{}'", ask);
  return question;
}

std::string to_json(const Result<SiteAnswer>& answer) {
  json out{{"version", kVersion}};
  if (!answer.ok()) {
    out["error"] = answer.error().what;
    return text_of(out);
  }
  out["description"] = answer->description;
  out["findings"] = json::array();
  for (const Finding& finding : answer->findings)
    out["findings"].push_back({{"level", name_of(finding.level)},
                               {"code", finding.code},
                               {"object", finding.object},
                               {"message", finding.message},
                               {"remedy", finding.remedy}});
  return text_of(out);
}

Result<SiteAnswer> answer_from_json(std::string_view text) {
  FARSHORE_TRY_ASSIGN(const json value, object_from(text, "an answer"));
  if (value.contains("error"))
    return permanent(ErrorKind::unavailable, "{}", text_at(value, "error"));
  SiteAnswer answer{.description = text_at(value, "description"), .findings = {}};
  const auto findings = value.find("findings");
  if (findings == value.end() || !findings->is_array() || findings->size() > kFindingsMax)
    return permanent(ErrorKind::corrupt, "an answer without findings");
  for (const json& finding : *findings)
    if (finding.is_object()) answer.findings.push_back(finding_from(finding));
  return answer;
}

Result<SiteAnswer> ask_site(const pipeline::Dial& dial, const std::string& stream,
                            const std::string& site, const SiteQuestion& question,
                            Deadline deadline, std::stop_token stop) {
  FARSHORE_TRY_ASSIGN(auto channel,
                      dial(fmt::format("check/{}/{}", stream, site), link::Class::control));
  std::stop_callback close(stop, [&] { channel->close(); });
  FARSHORE_TRY(link::send_long(*channel, to_json(question), deadline));
  FARSHORE_TRY_ASSIGN(const Bytes answer, link::receive_long(*channel, deadline));
  channel->close();
  return answer_from_json(answer);
}

void SiteAnswers::close() {
  std::vector<std::unique_ptr<Running>> running;
  {
    os::Lock lock(mutex_);
    closed_ = true;
    running.swap(running_);
  }
  for (auto& one : running) {
    one->channel->close();
    one->thread.request_stop();
  }
}

void SiteAnswers::answer(const config::StreamConfig& stream, const std::string& site,
                         std::unique_ptr<link::Channel> channel) {
  os::Lock lock(mutex_);
  std::erase_if(running_, [](const auto& running) { return running->done.load(); });
  if (closed_ || running_.size() >= kAtOnce) return channel->close();
  Running& running = *running_.emplace_back(std::make_unique<Running>());
  running.channel = std::move(channel);
  running.thread = os::Thread("check", [this, &running, &stream, site](std::stop_token stop) {
    run(running, stream, site, std::move(stop));
    running.done = true;
  });
}

void SiteAnswers::run(Running& running, const config::StreamConfig& stream,
                      const std::string& site_name, std::stop_token stop) {
  auto asked = link::receive_long(*running.channel, world_.after(kQuestionWait));
  if (!asked.ok()) return;
  auto answer = [&]() -> Result<SiteAnswer> {
    FARSHORE_TRY_ASSIGN(const SiteQuestion question, question_from_json(*asked));
    FARSHORE_TRY_ASSIGN(auto site, make_site(world_, config_, *config_.site(site_name), &stream));
    std::stop_callback interrupt(stop, [&] { site->interrupt(); });
    return answer_to(*site, question);
  };
  // The one who asked closes the channel; else it ends with the link.
  (void)link::send_long(*running.channel, to_json(answer()), world_.after(kSendWait));
  (void)running.channel->receive(world_.after(kSendWait));
}

}  // namespace farshore::daemon
