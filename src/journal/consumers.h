// Consumers: who reads a journal, how far each is, and who was overtaken by retention. A file of
// its own, edited as a copy and replaced whole, at most once a second and at close. Pure but for
// load and save; the log's lock guards it.
#pragma once

#include <map>
#include <string>

#include "journal/journal.h"
#include "os/file.h"

namespace farshore::journal {

struct Consumer {
  ConsumerPlaces places;
  bool overtaken =
      false;  // what it needed next was removed; cleared when it sets a place that is retained
  friend bool operator==(const Consumer&, const Consumer&) = default;
};

using ConsumerTable = std::map<std::string, Consumer>;

constexpr std::size_t kConsumersMax = 256;
constexpr std::size_t kConsumerNameMax = 256;

Bytes encode_consumers(const ConsumerTable& table);
Result<ConsumerTable> decode_consumers(ByteView bytes);

Result<ConsumerTable> load_consumers(os::Files& files,
                                     const std::string& folder);  // empty when there is none
Result<void> save_consumers(os::Files& files, const std::string& folder,
                            const ConsumerTable& table);

}  // namespace farshore::journal
