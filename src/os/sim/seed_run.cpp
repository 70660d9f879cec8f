#include "os/sim/seed_run.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>

#include "os/real/descriptor.h"
#include "os/real/poll_many.h"
#include "os/real/real_world.h"

#ifdef __SANITIZE_THREAD__
// Each seed's process ends while its threads stand still: tsan would wait a second for them.
extern "C" const char* __tsan_default_options() {
  return "atexit_sleep_ms=0";
}
#endif

namespace farshore::os::sim {
namespace {

Bytes encode(const SeedOutcome& outcome) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.number<std::uint8_t>(outcome.ok)
      .string32(outcome.text)
      .number(outcome.hash)
      .number(outcome.switch_points);
  out.number<std::int64_t>(outcome.virtual_time.count());
  for (std::uint64_t fired : outcome.counts.fired) out.number(fired);
  return bytes;
}

bool decode(ByteView bytes, SeedOutcome& outcome) {
  ByteReader in(bytes);
  outcome.ok = in.number<std::uint8_t>() != 0;
  outcome.text = in.string32();
  outcome.hash = in.number<std::uint64_t>();
  outcome.switch_points = in.number<std::uint64_t>();
  outcome.virtual_time = Duration(in.number<std::int64_t>());
  for (std::uint64_t& fired : outcome.counts.fired) fired = in.number<std::uint64_t>();
  return in.finished();
}

// The one that the kernel chose for this child: it knows which one is idle.
void use_one_processor() {
  const int cpu = sched_getcpu();
  if (cpu < 0) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  sched_setaffinity(0, sizeof one, &one);
}

[[noreturn]] void send_and_exit(int fd, const Simulation& simulation, bool ok,
                                const std::string& text) {
  SeedOutcome outcome;
  outcome.ok = ok;
  outcome.text = text;
  outcome.hash = simulation.hash();
  outcome.switch_points = simulation.switch_points();
  outcome.virtual_time = simulation.virtual_time();
  outcome.counts = simulation.counts();
  const Bytes bytes = encode(outcome);
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n > 0) done += static_cast<std::size_t>(n);
    if (n < 0 && errno != EINTR) break;
  }
  std::fflush(nullptr);
  _exit(0);  // no destructors: abandoned threads still hold what they would destroy
}

[[noreturn]] void child_main(const Options& options, const std::function<void(Simulation&)>& body,
                             int fd, Progress* progress) {
  use_one_processor();
  auto* simulation = new Simulation(options);
  simulation->core().set_progress(progress);
  simulation->core().set_failure_sink([simulation, fd](const std::string& why) {
    send_and_exit(fd, *simulation, false, simulation->report_text() + why);
  });
  simulation->run([&] { body(*simulation); });
  send_and_exit(fd, *simulation, true, simulation->report_text());
}

// All that the child sends; false when it stood still for `stall_limit`.
bool read_all(int fd, Bytes& into, const Progress& progress, Duration stall_limit) {
  char buffer[4096];
  std::uint64_t seen = 0;
  Deadline limit = Deadline::after(real_monotonic_now(), stall_limit);
  while (true) {
    pollfd poll{fd, POLLIN, 0};
    if (!poll_many({&poll, 1}, limit)) {
      const std::uint64_t switch_points = progress.switch_points.load(std::memory_order_relaxed);
      if (switch_points == seen) return false;
      seen = switch_points;
      limit = Deadline::after(real_monotonic_now(), stall_limit);
      continue;
    }
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n > 0) into.append(buffer, static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR)) return true;
  }
}

std::string death_of(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  return fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace

std::string SeedOutcome::line() const {
  const std::string faults = counts.text();
  return fmt::format("seed {}: {}, {} switch points, {} virtual, hash {:016x}{}{}{}{}", seed,
                     ok ? "ok" : "FAILED", switch_points, format_duration(virtual_time), hash,
                     faults.empty() ? "" : ", faults: ", faults, text.empty() ? "" : ": ", text);
}

SeedOutcome run_seed_in_child(const Options& options, const std::function<void(Simulation&)>& body,
                              Duration stall_limit) {
  const MonotonicTime begun = real_monotonic_now();
  void* page =
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  FARSHORE_CHECK(page != MAP_FAILED, "no shared page: {}", std::strerror(errno));
  auto* progress = new (page) Progress;
  int ends[2];
  FARSHORE_CHECK(pipe(ends) == 0, "no pipe: {}", std::strerror(errno));
  std::fflush(nullptr);
  const pid_t child = fork();
  FARSHORE_CHECK(child >= 0, "no process: {}", std::strerror(errno));
  if (child == 0) {
    ::close(ends[0]);
    child_main(options, body, ends[1], progress);
  }
  ::close(ends[1]);
  const Descriptor from_child(ends[0]);
  Bytes bytes;
  const bool moved = read_all(from_child.get(), bytes, *progress, stall_limit);
  if (!moved) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  SeedOutcome outcome;
  if (!moved) {
    outcome.text = fmt::format("stands still for {}: '{}' blocks or loops outside the simulator",
                               format_duration(stall_limit), progress->running);
  } else if (!decode(bytes, outcome)) {
    outcome = {};
    outcome.text =
        fmt::format("the child ended with {} while '{}' ran", death_of(status), progress->running);
  } else if (status != 0) {
    outcome.ok = false;  // a sanitizer reported something and let it run on
    outcome.text += fmt::format("the child ended with {}", death_of(status));
  }
  outcome.seed = options.seed;
  outcome.wall_time = real_monotonic_now() - begun;
  munmap(page, sizeof(Progress));
  return outcome;
}

}  // namespace farshore::os::sim
