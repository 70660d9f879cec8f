#include "newcomers.h"

#include <limits>
#include <map>

#include "fakes/memory_target.h"

namespace farshore::simtest {
namespace {

using fakes::AppliedTransaction;
using fakes::MemoryTransaction;
using os::sim::Simulation;

constexpr std::size_t kReadersMax = 2;
constexpr std::size_t kTransactionsMax = 50;  // of each reader
constexpr std::uint64_t kBatchBytes = 1_MiB;
constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

struct Preamble {
  Sequence first;  // of its run
  bool among_open = false;
  std::uint64_t lsn = kNone;  // of the first commit behind it
};

class Newcomers {
 public:
  Newcomers(Simulation& simulation, os::World& world, journal::Journal& journal,
            const std::vector<MemoryTransaction>& committed)
      : simulation_(simulation), world_(world), journal_(journal), committed_(committed) {}

  void run() {
    read();
    for (std::size_t i = 0; i < kReadersMax && !preambles_.empty(); ++i) {
      const auto at = static_cast<std::ptrdiff_t>(simulation_.random().next() % preambles_.size());
      begin(preambles_[static_cast<std::size_t>(at)]);
      preambles_.erase(preambles_.begin() + at);
    }
  }

 private:
  template <typename T>
  T must(Result<T> result) {
    if (!result.ok()) simulation_.fail("a journal cannot be read: " + result.error().what);
    return *std::move(result);
  }

  void read() {
    const journal::Status status = journal_.status();
    if (status.durable.sequence == Sequence(0)) return;
    const auto reader = must(journal_.reader(status.first.sequence));
    bool in_preamble = false;
    while (reader->position() <= status.durable.sequence) {
      for (const PlacedRecord& placed : must(reader->next(kBatchBytes, Deadline::passed()))) {
        const Record& record = placed.record;
        const bool is_preamble = record.kind == RecordKind::preamble;
        if (is_preamble && !in_preamble)
          preambles_.push_back({placed.place.sequence, record.flags.streamed});
        in_preamble = is_preamble;
        if (record.kind == RecordKind::data && record.flags.first)
          began_[record.xid] = placed.place.sequence;
        if (record.kind == RecordKind::data && record.flags.last)
          note_commit(fakes::lsn_of(record.position));
      }
    }
  }

  void note_commit(std::uint64_t lsn) {
    end_ = lsn;
    for (auto p = preambles_.rbegin(); p != preambles_.rend() && p->lsn == kNone; ++p) p->lsn = lsn;
  }

  void begin(const Preamble& preamble) {
    const auto cursor = must(journal_.cursor(preamble.first, Sequence(0)));
    fakes::MemoryTarget target;
    fakes::MemorySink sink(world_, target);
    must(sink.open({}, Epoch(1)));
    bool ended = false;
    for (Sequence through; !ended && target.count() < kTransactionsMax;) {
      const auto applied = sink.apply(*cursor, Deadline::passed());
      if (!applied.ok()) fail(preamble, applied.error().what);
      ended = applied->through == through;
      through = applied->through;
    }
    for (const std::string& violation : target.violations()) fail(preamble, violation);
    compare(preamble, target.applied(), ended);
  }

  void compare(const Preamble& preamble, const std::vector<AppliedTransaction>& applied,
               bool to_the_end) {
    auto next = applied.begin();
    for (const MemoryTransaction& transaction : committed_) {
      if (!to_the_end && next == applied.end()) return;
      if (transaction.commit_lsn < preamble.lsn || transaction.commit_lsn > end_) continue;
      if (next != applied.end() && next->xid == transaction.xid) {
        if (next->changes != transaction.changes)
          fail(preamble, fmt::format("gets other changes of transaction {}", transaction.xid));
        ++next;
      } else if (!may_lack(preamble, transaction)) {
        fail(preamble, fmt::format("does not get transaction {}, which began at {}",
                                   transaction.xid, began_[transaction.xid]));
      }
    }
    if (next != applied.end()) fail(preamble, fmt::format("gets transaction {}", next->xid));
  }

  bool may_lack(const Preamble& preamble, const MemoryTransaction& transaction) {
    return preamble.among_open && transaction.streamed && began_[transaction.xid] < preamble.first;
  }

  [[noreturn]] void fail(const Preamble& preamble, const std::string& what) {
    simulation_.fail(fmt::format("who begins at the preamble at {}: {}", preamble.first, what));
  }

  Simulation& simulation_;
  os::World& world_;
  journal::Journal& journal_;
  const std::vector<MemoryTransaction>& committed_;
  std::vector<Preamble> preambles_;
  std::map<std::uint64_t, Sequence> began_;  // by xid: the first record, as it was captured last
  std::uint64_t end_ = 0;                    // the newest commit
};

}  // namespace

void begin_at_preambles(Simulation& simulation, os::World& world, journal::Journal& journal,
                        const std::vector<MemoryTransaction>& committed) {
  Newcomers(simulation, world, journal, committed).run();
}

}  // namespace farshore::simtest
