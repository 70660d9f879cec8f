// Thread: runs `body` with a stop token; its destructor asks it to stop and waits for it. Owned by
// the object whose work it does. A body must return soon after its token says stop; nothing may
// escape from it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

namespace farshore::os {

class Thread {
 public:
  Thread() = default;
  // `name`: at most 15 characters are shown.
  Thread(const std::string& name, std::function<void(std::stop_token)> body);
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;
  ~Thread();

  // Runs the token's stop callbacks in the calling thread.
  void request_stop();
  void join();
  bool joinable() const { return real_.joinable() || simulated_.has_value(); }

 private:
  void stop_and_join();

  std::stop_source stop_{std::nostopstate};
  std::thread real_;
  std::optional<std::uint64_t> simulated_;
};

}  // namespace farshore::os
