#include "os/thread.h"

#include <pthread.h>

#include <utility>

#include "os/scheduler.h"

namespace farshore::os {

Thread::Thread(const std::string& name, std::function<void(std::stop_token)> body)
    : stop_(std::stop_source()) {
  std::function<void()> run = [token = stop_.get_token(), body = std::move(body)] { body(token); };
  if (Scheduler* scheduler = current_scheduler()) {
    simulated_ = scheduler->spawn(name, std::move(run));
    return;
  }
  real_ = std::thread([shown = name.substr(0, 15), run = std::move(run)] {
    pthread_setname_np(pthread_self(), shown.c_str());
    run();
  });
}

Thread::Thread(Thread&& other) noexcept
    : stop_(std::move(other.stop_)),
      real_(std::move(other.real_)),
      simulated_(std::exchange(other.simulated_, std::nullopt)) {}

Thread& Thread::operator=(Thread&& other) noexcept {
  if (this == &other) return *this;
  stop_and_join();
  stop_ = std::move(other.stop_);
  real_ = std::move(other.real_);
  simulated_ = std::exchange(other.simulated_, std::nullopt);
  return *this;
}

Thread::~Thread() {
  stop_and_join();
}

void Thread::request_stop() {
  Scheduler* scheduler = current_scheduler();
  if (scheduler != nullptr) scheduler->set_urgent(true);
  stop_.request_stop();
  if (scheduler != nullptr) scheduler->set_urgent(false);
}

void Thread::join() {
  if (simulated_) current_scheduler()->join(*std::exchange(simulated_, std::nullopt));
  if (real_.joinable()) real_.join();
}

void Thread::stop_and_join() {
  if (!joinable()) return;
  request_stop();
  join();
}

}  // namespace farshore::os
