// modules: journal os
// What a synced append costs: the journal at 1, 8 and 64 waiting appenders and as one stream nobody
// waits for, against a raw program that writes and syncs the very same bytes in the very same
// batches, and the same once more with as many threads that wait for their record: what is left
// between those two is what any group commit pays for its waiters. And how long reopening takes.
//   journal_append_bench [--quick] [--json] [--folder DIR]     (DIR on the disk to measure)
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <numeric>
#include <semaphore>

#include "journal/journal.h"
#include "os/mutex.h"
#include "os/real/real_world.h"
#include "os/thread.h"

using namespace farshore;

namespace {

struct Batch {
  std::vector<std::size_t> writes;  // bytes of each, then one sync
  std::size_t bytes() const {
    return std::accumulate(writes.begin(), writes.end(), std::size_t{0});
  }
};

// The real disk; notes what is written between syncs of segments, and counts all syncs.
class WatchedFiles : public os::Files {
 public:
  explicit WatchedFiles(os::Files& real) : real_(real) {}

  Result<std::unique_ptr<os::File>> open(const std::string& path, os::OpenMode mode) override {
    FARSHORE_TRY_ASSIGN(auto file, real_.open(path, mode));
    return std::unique_ptr<os::File>(std::make_unique<WatchedFile>(*this, std::move(file)));
  }
  Result<std::vector<std::string>> list(const std::string& folder) override {
    return real_.list(folder);
  }
  Result<void> create_folder(const std::string& path) override { return real_.create_folder(path); }
  Result<void> rename(const std::string& from, const std::string& to) override {
    return real_.rename(from, to);
  }
  Result<void> remove(const std::string& path) override { return real_.remove(path); }
  Result<void> sync_folder(const std::string& path) override {
    const MonotonicTime begin = os::real_monotonic_now();
    Result<void> synced = real_.sync_folder(path);
    note_sync(os::real_monotonic_now() - begin);
    return synced;
  }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    return real_.free_bytes(path);
  }
  Result<std::unique_ptr<os::FileLock>> lock(const std::string& path,
                                             const std::string& holder) override {
    return real_.lock(path, holder);
  }

  std::vector<Batch> take_batches() {
    const os::Lock lock(mutex_);
    std::vector<Batch> batches;
    batches.swap(batches_);
    current_ = {};
    syncs_ = 0;
    busy_ = {};
    return batches;
  }
  Duration busy() {  // spent in writes and syncs
    const os::Lock lock(mutex_);
    return busy_;
  }
  std::uint64_t syncs() {
    const os::Lock lock(mutex_);
    return syncs_;
  }

 private:
  class WatchedFile : public os::File {
   public:
    WatchedFile(WatchedFiles& files, std::unique_ptr<os::File> real)
        : files_(files), real_(std::move(real)) {}
    Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t count) override {
      return real_->read_at(offset, into, count);
    }
    Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
      const MonotonicTime begin = os::real_monotonic_now();
      Result<void> written = real_->write_at(offset, bytes);
      files_.note_write(bytes.size(), os::real_monotonic_now() - begin);
      return written;
    }
    Result<void> sync() override {
      const MonotonicTime begin = os::real_monotonic_now();
      Result<void> synced = real_->sync();
      files_.note_sync(os::real_monotonic_now() - begin);
      return synced;
    }
    Result<std::uint64_t> size() override { return real_->size(); }
    Result<void> truncate(std::uint64_t size) override { return real_->truncate(size); }

   private:
    WatchedFiles& files_;
    const std::unique_ptr<os::File> real_;
  };

  void note_write(std::size_t bytes, Duration took) {
    const os::Lock lock(mutex_);
    busy_ += took;
    current_.writes.push_back(bytes);
  }
  void note_sync(Duration took) {
    const os::Lock lock(mutex_);
    busy_ += took;
    ++syncs_;
    batches_.push_back(std::move(current_));
    current_ = {};
  }

  os::Files& real_;
  os::Mutex mutex_;
  Batch current_;
  std::vector<Batch> batches_;
  std::uint64_t syncs_ = 0;
  Duration busy_{};
};

class WatchedWorld : public os::World {
 public:
  os::Clock& clock() override { return real_->clock(); }
  os::Random& random() override { return real_->random(); }
  os::Files& files() override { return files_; }
  os::Network& network() override { return real_->network(); }
  WatchedFiles& watched() { return files_; }
  os::Files& real_files() { return real_->files(); }

 private:
  const std::unique_ptr<os::World> real_ = os::make_real_world(std::nullopt);
  WatchedFiles files_{real_->files()};
};

void must(const Result<void>& result) {
  if (result.ok()) return;
  std::fprintf(stderr, "%s\n", result.error().what.c_str());
  std::exit(1);
}
template <class T>
T must(Result<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.error().what.c_str());
  std::exit(1);
}

// Threads that hand in a record and wait until a batch that holds it is synced, again and again.
// Nothing is appended: what it costs is the threads alone.
class Waiters {
 public:
  explicit Waiters(int count) {
    for (int i = 0; i < count; ++i)
      threads_.emplace_back("waiter", [this, &synced = synced_.emplace_back(0)](std::stop_token) {
        while (wait_once(synced)) continue;
      });
  }
  ~Waiters() {
    const std::size_t all = threads_.size();
    stopping_ = true;
    release(take(all));
  }
  // Those of the next batch, as soon as so many wait.
  std::vector<std::binary_semaphore*> take(std::size_t count) {
    os::Lock lock(mutex_);
    handed_in_.wait(lock, Deadline::never(), [&] { return waiting_.size() >= count; });
    const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
    std::vector<std::binary_semaphore*> taken(waiting_.begin(), end);
    waiting_.erase(waiting_.begin(), end);
    return taken;
  }
  static void release(const std::vector<std::binary_semaphore*>& taken) {
    for (std::binary_semaphore* waiter : taken) waiter->release();
  }

 private:
  bool wait_once(std::binary_semaphore& synced) {
    {
      os::Lock lock(mutex_);
      waiting_.push_back(&synced);
      handed_in_.notify_all();
    }
    synced.acquire();
    return !stopping_;
  }

  std::atomic<bool> stopping_ = false;
  os::Mutex mutex_;
  os::CondVar handed_in_;
  std::deque<std::binary_semaphore*> waiting_;
  std::deque<std::binary_semaphore> synced_;  // one for each thread
  std::vector<os::Thread> threads_;
};

struct Settings {
  bool quick = false, json = false;
  std::string folder = "/var/tmp";
};

constexpr std::size_t kPayloadBytes = 512;
constexpr int kRuns = 5;

class Bench {
 public:
  explicit Bench(const Settings& settings) : settings_(settings) {
    folder_ = settings.folder + "/farshore-journal-bench";
    remove_folder();
    must(world_.files().create_folder(folder_));
  }
  ~Bench() { remove_folder(); }

  void appenders(int count) {
    const std::uint64_t commits =
        (settings_.quick ? 500U : 4000U) * static_cast<unsigned>(std::min(count, 16));
    const std::uint64_t each = commits / static_cast<unsigned>(count);
    std::vector<double> ours, peer, waited;
    Figures figures;
    for (int run = 0; run < kRuns; ++run) {
      const double seconds = append_and_wait(count, each);
      const auto batches = take(figures, seconds);
      ours.push_back(static_cast<double>(commits) / seconds);
      peer.push_back(static_cast<double>(commits) / raw(batches, figures));
      waited.push_back(static_cast<double>(commits) / raw_waited(batches, count, commits));
    }
    const std::string name = fmt::format("{} appender{}", count, count == 1 ? "" : "s");
    report(name, "commits/s", ours, peer, figures);
    figures.peer_syncs = figures.our_syncs;
    report(name + ", waited", "commits/s", ours, waited, figures);
  }

  void stream() {
    const std::uint64_t bytes = settings_.quick ? 64_MiB : 512_MiB;
    std::vector<double> ours, peer;
    Figures figures;
    for (int run = 0; run < kRuns; ++run) {
      const double seconds = append_stream(bytes);
      const auto batches = take(figures, seconds);
      ours.push_back(static_cast<double>(bytes) / seconds / 1e6);
      peer.push_back(static_cast<double>(bytes) / raw(batches, figures) / 1e6);
    }
    report("stream", "MB/s", ours, peer, figures);
  }

  // ours and peer are seconds here, the peer being the limit of one second.
  void reopen() {
    const std::uint64_t bytes = settings_.quick ? 256_MiB : 4_GiB;
    append_stream(bytes, false);
    std::vector<double> ours;
    for (int run = 0; run < kRuns; ++run) {
      forget_cache();
      const MonotonicTime begin = world_.now();
      auto journal = open();
      ours.push_back(seconds_of(world_.now() - begin));
    }
    std::sort(ours.begin(), ours.end());
    const double seconds = ours[ours.size() / 2];
    if (settings_.json)
      fmt::print(R"({{"bench":"journal-append","case":"reopen {}","ours":{:.3f},)"
                 R"("peer":1.0,"unit":"s","ratio":{:.1f},"runs":{}}})"
                 "\n",
                 format_bytes(bytes), seconds, 1 / seconds, kRuns);
    else
      fmt::print("{:<14} {:>10.3f} s, limit 1 s\n", "reopen " + format_bytes(bytes), seconds);
    remove_folder();
  }

 private:
  struct Figures {
    std::uint64_t our_syncs = 0, peer_syncs = 0;
    double busy_seconds = 0, all_seconds = 0;  // ours: in writes and syncs, of all
  };

  std::unique_ptr<journal::Journal> open() {
    journal::Options options;
    options.keep = 1h;
    return must(journal::Journal::open(world_, folder_ + "/journal", options, {}));
  }

  std::vector<Batch> take(Figures& figures, double seconds) {
    figures.our_syncs += world_.watched().syncs();
    figures.busy_seconds += seconds_of(world_.watched().busy());
    figures.all_seconds += seconds;
    auto batches = world_.watched().take_batches();
    remove_folder();
    return batches;
  }

  double append_and_wait(int count, std::uint64_t each) {
    auto journal = open();
    (void)world_.watched().take_batches();
    const Record record = sample(kPayloadBytes);
    const MonotonicTime begin = world_.now();
    std::vector<os::Thread> threads;
    threads.reserve(count);
    for (int i = 0; i < count; ++i)
      threads.emplace_back("appender", [&](std::stop_token) {
        for (std::uint64_t k = 0; k < each; ++k) {
          const Place place = must(journal->append(std::span(&record, 1), Deadline::never()));
          (void)must(journal->wait_durable(place.sequence, Deadline::never()));
        }
      });
    for (os::Thread& thread : threads) thread.join();
    return seconds_of(world_.now() - begin);
  }

  double append_stream(std::uint64_t bytes, bool clear = true) {
    auto journal = open();
    if (clear) (void)world_.watched().take_batches();
    const std::vector<Record> records(128, sample(8_KiB));
    const MonotonicTime begin = world_.now();
    Place place;
    for (std::uint64_t done = 0; done < bytes; done += 128 * 8_KiB)
      place = must(journal->append(records, Deadline::never()));
    (void)must(journal->wait_durable(place.sequence, Deadline::never()));
    return seconds_of(world_.now() - begin);
  }

  // The same bytes in the same batches, by nothing but write and fdatasync on one growing file.
  double raw(const std::vector<Batch>& batches, Figures& figures) {
    return write_raw(batches, [&](const Batch&, const std::function<void()>& write_and_sync) {
      write_and_sync();
      ++figures.peer_syncs;
    });
  }

  double raw_waited(const std::vector<Batch>& batches, int count, std::uint64_t commits) {
    double bytes = 0;
    for (const Batch& batch : batches) bytes += static_cast<double>(batch.bytes());
    const double each = bytes / static_cast<double>(commits);
    Waiters waiters(count);
    return write_raw(batches, [&](const Batch& batch, const std::function<void()>& write_and_sync) {
      const auto share = std::lround(static_cast<double>(batch.bytes()) / each);
      const auto taken =
          waiters.take(std::min(static_cast<std::size_t>(share), static_cast<std::size_t>(count)));
      write_and_sync();
      Waiters::release(taken);
    });
  }

  double write_raw(
      const std::vector<Batch>& batches,
      const std::function<void(const Batch&, const std::function<void()>&)>& each_batch) {
    must(world_.files().create_folder(folder_));
    const std::string path = folder_ + "/raw";
    auto file = must(world_.real_files().open(path, os::OpenMode::create));
    std::size_t most = 0;
    for (const Batch& batch : batches)
      for (const std::size_t write : batch.writes) most = std::max(most, write);
    const Bytes bytes(most, 'x');
    std::uint64_t offset = 0;
    const MonotonicTime begin = world_.now();
    for (const Batch& batch : batches)
      each_batch(batch, [&] {
        for (const std::size_t write : batch.writes) {
          must(file->write_at(offset, ByteView(bytes).substr(0, write)));
          offset += write;
        }
        must(file->sync());
      });
    const double seconds = seconds_of(world_.now() - begin);
    remove_folder();
    return seconds;
  }

  void report(const std::string& name, const char* unit, std::vector<double> ours,
              std::vector<double> peer, const Figures& figures) {
    std::vector<double> ratios;
    ratios.reserve(ours.size());
    for (std::size_t i = 0; i < ours.size(); ++i) ratios.push_back(ours[i] / peer[i]);
    for (auto* values : {&ours, &peer, &ratios}) std::sort(values->begin(), values->end());
    const std::size_t middle = kRuns / 2;
    if (settings_.json)
      fmt::print(R"({{"bench":"journal-append","case":"{}","ours":{:.0f},"peer":{:.0f},)"
                 R"("unit":"{}","ratio":{:.2f},"runs":{},"ours_syncs":{},)"
                 R"("peer_syncs":{},"ours_disk_busy":{:.2f}}})"
                 "\n",
                 name, ours[middle], peer[middle], unit, ratios[middle], kRuns, figures.our_syncs,
                 figures.peer_syncs, figures.busy_seconds / figures.all_seconds);
    else
      fmt::print(
          "{:<14} {:>10.0f} {}, raw {:>10.0f}: ratio {:.2f} ({} syncs, raw {}; disk busy {:.0f} "
          "%)\n",
          name, ours[middle], unit, peer[middle], ratios[middle], figures.our_syncs,
          figures.peer_syncs, figures.busy_seconds / figures.all_seconds * 100);
    std::fflush(stdout);
  }

  static Record sample(std::size_t bytes) {
    Record record;
    record.flags.first = record.flags.last = true;
    record.session = 1;
    record.xid = 1;
    record.changes = 1;
    record.commit_time = WallTime(1'700'000'000s);
    record.position.bytes = "12345678";
    record.payload.assign(bytes, 'x');
    return record;
  }

  void forget_cache() {
    if (auto file = world_.real_files().open("/proc/sys/vm/drop_caches", os::OpenMode::write);
        file.ok())
      (void)(*file)->write_at(0, "3\n");
  }

  void remove_folder() {
    os::Files& files = world_.real_files();
    for (const std::string& folder : {folder_ + "/journal", folder_}) {
      const auto names = files.list(folder);
      if (!names) continue;
      for (const std::string& name : *names) (void)files.remove(fmt::format("{}/{}", folder, name));
      (void)files.remove(folder);
    }
  }

  const Settings settings_;
  WatchedWorld world_;
  std::string folder_;
};

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--quick") == 0)
      settings.quick = true;
    else if (std::strcmp(argv[i], "--json") == 0)
      settings.json = true;
    else if (std::strcmp(argv[i], "--folder") == 0 && i + 1 < argc)
      settings.folder = argv[++i];
    else
      return std::fprintf(stderr,
                          "usage: journal_append_bench [--quick] [--json] [--folder DIR]\n"),
             2;
  }
  Bench bench(settings);
  for (const int count : {1, 8, 64}) bench.appenders(count);
  bench.stream();
  bench.reopen();
  return 0;
}
