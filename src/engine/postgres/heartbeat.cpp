#include "engine/postgres/heartbeat.h"

#include "engine/postgres/quoting.h"
#include "engine/postgres/record_assembler.h"

namespace farshore::postgres {
namespace {

class PostgresHeartbeatWriter final : public HeartbeatWriter {
 public:
  PostgresHeartbeatWriter(os::World& world, ConnectOptions options)
      : world_(world), options_(std::move(options)) {
    options_.application_name = "farshore heartbeat";
  }

  Result<void> beat(Deadline deadline) override {
    if (!connection_) {
      FARSHORE_TRY_ASSIGN(connection_, Connection::open(world_, options_, deadline, &waker_));
    }
    auto beaten = connection_->query("SELECT pg_logical_emit_message(true, " +
                                         quote_literal(kHeartbeatPrefix) + ", " +
                                         quote_literal(format_time(world_.clock().wall())) + ")",
                                     deadline);
    if (beaten.ok()) return {};
    connection_.reset();
    return std::move(beaten).error();
  }
  void interrupt() override { waker_.wake(); }

 private:
  os::World& world_;
  ConnectOptions options_;
  os::Waker waker_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace

std::unique_ptr<HeartbeatWriter> make_heartbeat_writer(os::World& world, ConnectOptions options) {
  return std::make_unique<PostgresHeartbeatWriter>(world, std::move(options));
}

}  // namespace farshore::postgres
