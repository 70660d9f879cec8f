// Whatever a stranger says in the handshake: what is read is written back the same, and every
// decision is one of the three.
#include "link/handshake.h"

using namespace farshore;
using namespace farshore::link;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  const Self owner{.cluster = "shop",
                   .region = "eu",
                   .peer_region = "us",
                   .incarnation = "eu-1",
                   .candidate = 5};
  const Self other{.cluster = "shop", .region = "us", .peer_region = "eu", .incarnation = "us-1"};
  if (const auto hello = decode_hello(bytes); hello.ok()) {
    if (hello->protocol.major == kProtocolMajor)
      FARSHORE_CHECK(*decode_hello(encode(*hello)) == *hello, "twins differ");
    const Standing standing{
        .number = 5, .owner = "eu-1", .peer_incarnation = "us-1", .connections = 1};
    for (const Self& self : {owner, other})
      for (const Liveness liveness : {Liveness::not_asked, Liveness::alive, Liveness::silent}) {
        (void)decide(self, std::nullopt, *hello, "", liveness);
        const Decision decision = decide(self, standing, *hello, hello->region, liveness);
        FARSHORE_CHECK(
            !std::holds_alternative<PingFirst>(decision) || liveness == Liveness::not_asked,
            "pinged and asked to ping again");
      }
  }
  if (const auto accept = decode_accept(bytes); accept.ok()) {
    FARSHORE_CHECK(*decode_accept(encode(*accept)) == *accept, "twins differ");
    (void)check_accept(owner, *accept, "us");
    (void)attach_of(owner, std::nullopt, accept->session, accept->incarnation, accept->incarnation);
  }
  if (const auto refuse = decode_refuse(bytes); refuse.ok())
    FARSHORE_CHECK(*decode_refuse(encode(*refuse)) == *refuse, "twins differ");
  return 0;
}
