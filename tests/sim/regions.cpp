#include "regions.h"

#include "link/link.h"
#include "os/thread.h"
#include "sink/test_idle_target.h"
#include "source/test_no_tables.h"

namespace farshore::simtest {
namespace {

constexpr const char* kNear = "near";
constexpr const char* kFar = "far";
constexpr const char* kStream = "orders";
constexpr const char* kSite = "orders-far";

link::Options link_options(os::World& world, const std::string& own, const std::string& peer) {
  return {.cluster = "sim",
          .own_region = own,
          .own_incarnation = Uuid::from_random(world.random().next(), world.random().next()).text(),
          .own_version = "0",
          .peer_region = peer,
          .peer_address = peer + ":7432",
          .connections_min = 1 + static_cast<int>(world.random().next() % 3),
          .connections_max = 4};
}

}  // namespace

Regions::Regions(os::sim::Simulation& simulation)
    : simulation_(simulation),
      near_(simulation.add_host(kNear)),
      far_(simulation.add_host(kFar)),
      database_(simulation.driver().world()),
      near_agent_(std::make_shared<NearAgent>()),
      far_agent_(std::make_shared<FarAgent>()) {
  const bool keeps = simulation.random().next() % 2 == 0;
  journal_options_.segment_bytes = keeps ? 1_MiB : 16_KiB;
  journal_options_.keep = keeps ? Duration(1h) : Duration::zero();
  journal_options_.preamble_every_bytes = 1_KiB << (2 * (simulation.random().next() % 3));
}

EventSink Regions::events(const std::string& who) {
  return [this, who](Event event) {
    if (std::getenv("FARSHORE_SIM_EVENTS") != nullptr)
      fmt::print(stderr, "{:>10.3f} {} {} {}\n", seconds_of(simulation_.virtual_time()), who,
                 event.name, event.message);
  };
}

void Regions::start_near() {
  near_agent_ = std::make_shared<NearAgent>();
  near_.run("agent", [this, self = near_agent_, &world = near_.world()] { run_near(world, self); });
}

void Regions::start_far() {
  far_agent_ = std::make_shared<FarAgent>();
  far_.run("agent", [this, self = far_agent_, &world = far_.world()] { run_far(world, self); });
}

void Regions::run_near(os::World& world, std::shared_ptr<NearAgent> self) {
  auto endpoint = link::Endpoint::make(world, "near:7432", events("near link"));
  if (!endpoint.ok()) simulation_.fail("near endpoint: " + endpoint.error().what);
  auto link = (*endpoint)->add_peer(link_options(world, kNear, kFar),
                                    {.opened = [](const std::string&, link::Class,
                                                  std::unique_ptr<link::Channel> c) { c->close(); },
                                     .keepalive_payload = [] { return Bytes(); },
                                     .keepalive_received = [](const Bytes&) {}});
  if (!link.ok()) simulation_.fail("near link: " + link.error().what);
  pipeline::SourceStream::Options options{.name = kStream,
                                          .folder = "/data/source",
                                          .journal = journal_options_,
                                          .definition = "definition"};
  options.targets.push_back({.site = kSite,
                             .region = kFar,
                             .dial = [l = *link](const std::string& name, link::Class klass) {
                               return l->open(name, klass);
                             }});
  pipeline::SourceStream stream(
      world, std::move(options),
      [this, &world](const Uuid&) -> Result<pipeline::SourceParts> {
        return pipeline::SourceParts{std::make_unique<fakes::MemorySource>(world, database_),
                                     std::make_unique<NoTables>()};
      },
      events("near"));
  self->stream = &stream;
  {
    os::Thread thread("stream", [&](std::stop_token stop) { stream.run(stop); });
    while (!self->stop) fakes::pause(world, 20ms);
  }
  self->stream = nullptr;
  (*endpoint)->close();
  self->stopped = true;
}

void Regions::run_far(os::World& world, std::shared_ptr<FarAgent> self) {
  fakes::MemorySink sink(world, target_);
  sink.apply_twice = apply_twice;
  fakes::MemorySink aside(world, target_);
  NoCopy copy;
  pipeline::TargetLeg leg(world,
                          {.stream_name = kStream,
                           .site = kSite,
                           .folder = "/data/target",
                           .journal = journal_options_},
                          sink, aside, copy, events("far"));
  auto endpoint = link::Endpoint::make(world, "far:7432", events("far link"));
  if (!endpoint.ok()) simulation_.fail("far endpoint: " + endpoint.error().what);
  auto link = (*endpoint)->add_peer(
      link_options(world, kFar, kNear),
      {.opened =
           [&leg](const std::string& name, link::Class, std::unique_ptr<link::Channel> c) {
             leg.accept(name.substr(0, name.find('/')), std::move(c));
           },
       .keepalive_payload = [] { return Bytes(); },
       .keepalive_received = [](const Bytes&) {}});
  if (!link.ok()) simulation_.fail("far link: " + link.error().what);
  self->leg = &leg;
  {
    os::Thread thread("leg", [&](std::stop_token stop) { leg.run(stop); });
    while (!self->stop) fakes::pause(world, 20ms);
  }
  self->leg = nullptr;
  (*endpoint)->close();
  self->stopped = true;
}

void Regions::stop_near() {
  near_agent_->stop = true;
  while (!near_agent_->stopped && near_.up()) simulation_.sleep(10ms);
}

void Regions::stop_far() {
  far_agent_->stop = true;
  while (!far_agent_->stopped && far_.up()) simulation_.sleep(10ms);
}

std::unique_ptr<journal::Journal> Regions::open_journal(os::sim::Host& host, const char* folder) {
  auto journal = journal::Journal::open(host.world(), folder, journal_options_, {});
  for (int tries = 0; !journal.ok() && tries < 5;
       ++tries)  // a fault that was armed may strike here
    journal = journal::Journal::open(host.world(), folder, journal_options_, {});
  if (!journal.ok()) simulation_.fail("a journal does not open: " + journal.error().what);
  return *std::move(journal);
}

}  // namespace farshore::simtest
