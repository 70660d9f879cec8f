// Whatever another region sends on a channel `check/STREAM/SITE`: a question or an answer that is
// read is written back the same.
#include "base/check.h"
#include "daemon/remote_site.h"

using namespace farshore;
using namespace farshore::daemon;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto question = question_from_json(text); question.ok()) {
    const std::string written = to_json(*question);
    const auto again = question_from_json(written);
    FARSHORE_CHECK(again.ok() && to_json(*again) == written, "twins of a question differ");
  }
  // An error is an answer too; one that does not parse is written as one.
  const std::string written = to_json(answer_from_json(text));
  FARSHORE_CHECK(to_json(answer_from_json(written)) == written, "twins of an answer differ");
  return 0;
}
