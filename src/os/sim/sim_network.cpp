#include "os/sim/sim_network.h"

namespace farshore::os::sim {
namespace {

class SimConnection : public Connection {
 public:
  SimConnection(Wires& wires, LinePointer line, int side)
      : wires_(wires), line_(std::move(line)), side_(side) {}
  ~SimConnection() override { wires_.close(line_, side_); }

  Result<std::size_t> read(char* into, std::size_t count, Deadline deadline) override {
    return wires_.read(*line_, side_, into, count, deadline);
  }
  Result<void> write(ByteView bytes, Deadline deadline) override {
    return wires_.write(line_, side_, bytes, deadline);
  }
  void close() override { wires_.close(line_, side_); }
  TransportStats stats() override { return wires_.stats(*line_, side_); }
  std::string peer_name() const override { return line_->ends[1 - side_].life->host; }
  std::string peer_address() const override {
    return fmt::format("{}:{}", peer_name(), line_->number);
  }

 private:
  Wires& wires_;
  const LinePointer line_;
  const int side_;
};

class SimListener : public Listener {
 public:
  SimListener(Wires& wires, std::shared_ptr<ListeningPort> port)
      : wires_(wires), port_(std::move(port)) {}
  ~SimListener() override { wires_.close(*port_); }

  Result<std::unique_ptr<Connection>> accept(Deadline deadline) override {
    FARSHORE_TRY_ASSIGN(LinePointer line, wires_.accept(*port_, deadline));
    return std::unique_ptr<Connection>(std::make_unique<SimConnection>(wires_, std::move(line), 1));
  }
  std::string address() const override { return port_->address; }
  void close() override { wires_.close(*port_); }

 private:
  Wires& wires_;
  const std::shared_ptr<ListeningPort> port_;
};

class SimNetwork : public Network {
 public:
  SimNetwork(Wires& wires, const Life& life) : wires_(wires), life_(life) {}

  Result<std::unique_ptr<Listener>> listen(const std::string& address) override {
    FARSHORE_TRY_ASSIGN(std::shared_ptr<ListeningPort> port, wires_.listen(life_, address));
    return std::unique_ptr<Listener>(std::make_unique<SimListener>(wires_, std::move(port)));
  }
  Result<std::unique_ptr<Connection>> connect(const std::string& address, Deadline deadline,
                                              std::stop_token stop) override {
    FARSHORE_TRY_ASSIGN(LinePointer line, wires_.connect(life_, address, deadline, stop));
    return std::unique_ptr<Connection>(std::make_unique<SimConnection>(wires_, std::move(line), 0));
  }

 private:
  Wires& wires_;
  const Life& life_;
};

}  // namespace

std::unique_ptr<Network> make_sim_network(Wires& wires, const Life& life) {
  return std::make_unique<SimNetwork>(wires, life);
}

}  // namespace farshore::os::sim
