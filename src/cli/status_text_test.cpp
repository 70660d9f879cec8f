#include "cli/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "api/fake_agent.h"
#include "api/views_json.h"
#include "cli/figures.h"
#include "cli/json_read.h"

namespace farshore::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

class StatusTextTest : public testing::Test {
 protected:
  std::string status(const api::AgentView& view, bool wide = false) {
    return status_text(api::to_json(view), terminal_, wide);
  }
  std::size_t widest(const std::string& text) {
    std::istringstream lines(text);
    std::size_t widest = 0;
    for (std::string line; std::getline(lines, line);) widest = std::max(widest, shown_width(line));
    return widest;
  }

  std::istringstream in_;
  std::ostringstream out_, err_;
  Terminal terminal_{.in = in_, .out = out_, .err = err_};
};

TEST_F(StatusTextTest, ShowsEachStreamAndTargetAndWhatIsWrongBelowIt) {
  EXPECT_EQ("\n" + status(api::sample_view()), R"(
shop / us-east-1   agent 0.1.0, up 3h12m                                     2026-11-24 16:17:12 UTC

LINK TO     STATE          RTT        CLOCK       OUT       IN  SMALLER  CONNS
eu-west-1   connected     80ms  +1ms +-40ms  1.1MiB/s  12KiB/s     5.8x      2
ap-south-1  down       unknown      unknown   unknown  unknown  unknown      0
  connection refused, last heard 1m35s ago

STREAM  FROM -> TO              STATE      CAPTURE  DURABLE  APPLIED  BACKLOG     TX/S   ROWS/S
orders  orders-us -> orders-eu  streaming     12ms    130ms    160ms    64KiB      990       4k
        orders-us -> orders-ap  copying       12ms    230ms  unknown  unknown  unknown  unknown
        copy: 12 of 20 tables are copied, 3m05s left
        copy: public.ledger 41%, 4.1M of about 10M rows, 380MiB, 2m10s left
audit   audit-us -> audit-eu    failed     unknown  unknown  unknown  unknown  unknown  unknown
        why: table public.trail has no column "note", which transaction 1:4711 (xid 99120) writes
        do: ALTER TABLE public.trail ADD COLUMN note text;
            farshore stream resume audit
)");
}

TEST_F(StatusTextTest, ShowsAllThatIsKnownOfOneStream) {
  EXPECT_EQ("\n" + stream_text(api::to_json(api::sample_view().streams[0]), terminal_), R"(
orders   copying   postgres f81d4fae-7dec-11d0-a765-00a0c91e6bf6

  capture  orders-us (us-east-1)           streaming
           lag 12ms (transit 9ms), at 0/16B3748
           source keeps 12MiB for us, 0B not yet received
           slot given up (source.wal_max) in 7h30m at this rate
           1k transactions/s, 4.1k rows/s, 3 transactions open
  journal  here                            good
           1.2GiB of 50GiB, 1:1 to 1:991260
           at its limit in 1d7h at this rate
  target   orders-eu (eu-west-1)           streaming
           durable     130ms (transit 84ms), at 1:991230, 64KiB in 30 transactions wait
           applied     160ms (transit 101ms), at 1:991200, nothing waits
           990 transactions/s, 4k rows/s
  target   orders-ap (ap-south-1)          copying
           durable     230ms (transit 190ms), at 1:991230, nothing waits
           applied   unknown (transit unknown), at unknown, backlog unknown
           rates unknown
           copy: 12 of 20 tables are copied, 3m05s left
           copy: public.ledger 41%, 4.1M of about 10M rows, 380MiB, 2m10s left
)");
}

TEST_F(StatusTextTest, WideAddsTransitPlaceAndWhatTheSourceKeeps) {
  terminal_.columns = 140;
  const std::string text = status(api::sample_view(), true);
  EXPECT_THAT(text, HasSubstr("9ms/84ms/101ms  1:991200       12MiB\n"));
  EXPECT_THAT(text, HasSubstr("9ms/190ms/unknown  unknown"));
  EXPECT_THAT(text, HasSubstr("agent 0.1.0; zstd level 3: WAN is scarce: 10 Mbit/s\n"));
}

TEST_F(StatusTextTest, FitsIntoAHundredColumnsInEveryState) {
  for (api::State state : api::kStates) {
    api::AgentView view = api::sample_view();
    for (auto& stream : view.streams)
      for (auto& target : stream.targets) target.leg.state = state;
    view.streams[0].capture->leg = {.state = state,
                                    .reason = std::string(40, 'x') + " " + std::string(50, 'y')};
    EXPECT_LE(widest(status(view)), 100U) << name_of(state);
    EXPECT_THAT(status(view), HasSubstr(name_of(state)));
  }
}

TEST_F(StatusTextTest, LongNamesDropTheSourceFirst) {
  api::AgentView view = api::sample_view();
  view.streams[0].from = "orders-primary-us-east-1";
  view.streams[0].targets[0].site = "orders-replica-eu-west-1";
  const std::string text = status(view);
  EXPECT_LE(widest(text), 100U);
  EXPECT_THAT(text, HasSubstr("orders-replica-eu-west-1"));
  EXPECT_THAT(text, Not(HasSubstr("orders-primary")));
}

TEST_F(StatusTextTest, NothingUnknownIsShownAsZero) {
  const std::string text =
      status({.streams = {{.name = "s", .from = "a", .targets = {{.site = "b"}}}}});
  const std::string row = text.substr(text.find("\ns ") + 1);
  EXPECT_EQ(row,
            "s       a -> b      starting  unknown  unknown  unknown  unknown  unknown  unknown\n");
}

TEST_F(StatusTextTest, ShowsRetryPauseJournalAndCaptureTroubles) {
  api::AgentView view = api::sample_view();
  auto& stream = view.streams[0];
  stream.capture->leg = {.state = api::State::starting, .reason = "source refused", .retry_in = 3s};
  EXPECT_THAT(status(view), HasSubstr("source refused; tries again in 3.0s\n"));
  stream.capture->leg.retry_in = Duration::zero();
  EXPECT_THAT(status(view), HasSubstr("source refused; tries again now\n"));
  stream.capture->leg.retry_in = 3s;
  stream.journal->health = "full";
  stream.journal->reason = "50GiB of 50GiB: raise journal.max or let orders-eu catch up";
  stream.targets[0].leg = {.state = api::State::paused};
  stream.targets[0].paused_until = *parse_time("2026-11-24T16:00:00Z");
  const std::string text = status(view);
  EXPECT_THAT(text,
              HasSubstr("        capture is starting: source refused; tries again in 3.0s\n"));
  EXPECT_THAT(text, HasSubstr("        journal is full: 50GiB of 50GiB: raise journal.max"));
  EXPECT_THAT(text, HasSubstr("        pause: applies commits up to 2026-11-24T16:00:00.000Z\n"));
}

TEST_F(StatusTextTest, AFullJournalThatHoldsCaptureIsToldOnce) {
  api::AgentView view = api::sample_view();
  auto& stream = view.streams[0];
  stream.journal->health = "full";
  stream.journal->reason = "journal.max (50GiB) is reached";
  stream.capture->leg = {.state = api::State::degraded,
                         .reason =
                             "capture holds: journal us/orders is full: journal.max (50GiB) "
                             "is reached",
                         .remedy = "raise the limit"};
  std::string text = status(view);
  EXPECT_THAT(text, HasSubstr("capture is degraded: capture holds: journal us/orders is full"));
  EXPECT_THAT(text, HasSubstr("        do: raise the limit\n"));
  EXPECT_THAT(text, Not(HasSubstr("        journal is full:")));
  stream.capture->leg = {.state = api::State::streaming};
  text = status(view);
  EXPECT_THAT(text, HasSubstr("        journal is full: journal.max (50GiB) is reached\n"));
}

TEST_F(StatusTextTest, ARowShowsTheWorseOfCaptureAndItsTarget) {
  api::AgentView view = api::sample_view();
  auto& stream = view.streams[0];
  stream.capture->leg = {.state = api::State::degraded, .reason = "journal is full"};
  stream.targets[0].leg = {.state = api::State::streaming, .reason = "tries again"};
  stream.targets[1].leg = {.state = api::State::failed, .reason = "no column"};
  const std::string text = status(view);
  EXPECT_THAT(text, HasSubstr("orders  orders-us -> orders-eu  degraded  "));
  EXPECT_THAT(text, HasSubstr("        target is streaming: tries again\n"));
  EXPECT_THAT(text, HasSubstr("        orders-us -> orders-ap  failed  "));
  EXPECT_THAT(text, HasSubstr("        why: no column\n"));
  EXPECT_THAT(text, HasSubstr("        capture is degraded: journal is full\n"));
}

TEST_F(StatusTextTest, OfACaptureElsewhereOnlyItsStateIsShown) {
  api::AgentView view = api::sample_view();
  view.streams[0].capture = api::CaptureView{};
  view.streams[0].capture->leg = {.state = api::State::failed, .reason = "another source"};
  EXPECT_THAT(stream_text(api::to_json(view.streams[0]), terminal_),
              HasSubstr("  capture  orders-us (us-east-1)           failed\n"
                        "  journal "));
  EXPECT_THAT(stream_text(api::to_json(view.streams[0]), terminal_),
              HasSubstr("           capture has failed: another source\n"));
}

TEST_F(StatusTextTest, OneIsNotMany) {
  api::AgentView view = api::sample_view();
  api::StreamView& stream = view.streams[0];
  stream.capture->open_transactions = 1;
  stream.targets[1].copy->tables_total = 1;
  stream.targets[1].copy->tables_done = 0;
  const std::string text = stream_text(api::to_json(stream), terminal_);
  EXPECT_THAT(text, HasSubstr(", 1 transaction open\n"));
  EXPECT_THAT(text, HasSubstr("copy: 0 of 1 table is copied"));
}

TEST_F(StatusTextTest, WarnsThirtyDaysBeforeTheCertificateExpires) {
  api::AgentView view = api::sample_view();
  EXPECT_THAT(status(view), Not(HasSubstr("certificate")));
  view.certificate_expires_at = view.now + 29 * 24h;
  EXPECT_THAT(
      status(view),
      HasSubstr(
          "certificate of this region expires in 29d0h: renew it with `farshore cert renew`"));
  view.certificate_expires_at = view.now - 3h;
  EXPECT_THAT(status(view), HasSubstr("certificate of this region expired 3h00m ago: renew it"));
}

TEST_F(StatusTextTest, ColoursAndArrowsOnlyWhereTheyShow) {
  EXPECT_THAT(status(api::sample_view()), Not(HasSubstr("\x1b")));
  terminal_.colour = terminal_.unicode = true;
  const std::string text = status(api::sample_view());
  EXPECT_THAT(text, HasSubstr("\x1b[32mstreaming\x1b[0m"));
  EXPECT_THAT(text, HasSubstr("\x1b[1;31mfailed\x1b[0m"));
  EXPECT_THAT(text, HasSubstr("orders-us → orders-eu"));
  EXPECT_THAT(text, HasSubstr("+1ms ±40ms"));
  EXPECT_EQ(widest(text), 100U);
}

TEST_F(StatusTextTest, TextOfTheAgentCannotSteerTheTerminal) {
  api::AgentView view = api::sample_view();
  view.streams[1].targets[0].leg.reason =
      "a\x1b[2J\x07 b\xc2\x9b"
      "31m";
  const std::string text = status(view);
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, Not(HasSubstr("\xc2\x9b")));
}

TEST_F(StatusTextTest, TakesAnAnswerOfAnotherVersion) {
  for (const char* answer :
       {"{}", "[]", "null", R"({"links":7,"streams":"x"})", R"({"links":[1],"streams":[1,{}]})",
        R"({"streams":[{"name":1,"targets":[{"lag":[],"copy":{}}]}],"agent":[]})"}) {
    const Json json = Json::parse(answer);
    EXPECT_FALSE(status_text(json, terminal_, true).empty());
    EXPECT_FALSE(stream_text(json, terminal_).empty());
  }
}

TEST(Figures, AreShort) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(7.34), "7.3");
  EXPECT_EQ(count_text(210.4), "210");
  EXPECT_EQ(count_text(1234), "1.2k");
  EXPECT_EQ(count_text(41234), "41k");
  EXPECT_EQ(count_text(999999), "1M");
  EXPECT_EQ(count_text(std::nullopt), "unknown");
  EXPECT_EQ(bytes_text(0), "0B");
  EXPECT_EQ(offset_text(-2ms, 40ms, true), "-2ms ±40ms");
  EXPECT_EQ(offset_text(std::nullopt, std::nullopt, true), "unknown");
}

TEST(Figures, TheWorseOfTwoStatesIsTheLaterOneOfTheApi) {
  for (const api::State a : api::kStates)
    for (const api::State b : api::kStates)
      EXPECT_EQ(worse_state(name_of(a), name_of(b)), name_of(std::max(a, b)));
  EXPECT_EQ(worse_state("streaming", "of a newer agent"), "streaming");
  EXPECT_EQ(worse_state("", "stopped"), "stopped");
}

TEST(Wrapped, KeepsWordsWholeAndCountsWhatIsShown) {
  EXPECT_EQ(wrapped("one two three", 7, "  "), "one two\n  three");
  EXPECT_EQ(wrapped("", 7, "  "), "");
  EXPECT_EQ(wrapped("unbreakable word", 4, ""), "unbreakable\nword");
  EXPECT_EQ(shown_width("\x1b[32mgrün\x1b[0m"), 4U);
}

}  // namespace
}  // namespace farshore::cli
