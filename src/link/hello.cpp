#include "link/hello.h"

namespace farshore::link {
namespace {

constexpr std::size_t kWordsMax = 1_KiB;

Error malformed(const char* frame, ByteView bytes) {
  return permanent(ErrorKind::corrupt, "malformed {} of {} bytes", frame, bytes.size());
}

ByteWriter begin(Bytes& out, Protocol protocol) {
  ByteWriter writer(out);
  writer.number(kHelloMagic).number(protocol.major).number(protocol.minor);
  return writer;
}

// False: not ours.
bool begin(ByteReader& in, Protocol& protocol) {
  const bool ours = in.number<std::uint32_t>() == kHelloMagic;
  protocol.major = in.number<std::uint8_t>();
  protocol.minor = in.number<std::uint8_t>();
  return ours && !in.failed();
}

bool short_enough(std::initializer_list<const std::string*> names) {
  for (const std::string* name : names)
    if (name->size() > kNameMax) return false;
  return true;
}

}  // namespace

Bytes encode(const Hello& hello) {
  Bytes out;
  begin(out, hello.protocol)
      .string16(hello.cluster)
      .string16(hello.region)
      .string16(hello.peer_region)
      .string16(hello.incarnation)
      .string16(hello.version)
      .number(static_cast<std::uint8_t>(hello.join))
      .number(hello.session)
      .number(hello.ended)
      .string16(hello.owner);
  return out;
}

Bytes encode(const Accept& accept) {
  Bytes out;
  begin(out, accept.protocol)
      .string16(accept.region)
      .string16(accept.incarnation)
      .string16(accept.version)
      .number(accept.session);
  return out;
}

Bytes encode(const Refuse& refuse) {
  Bytes out;
  begin(out, refuse.protocol)
      .number(refuse.code)
      .string16(ByteView(refuse.words).substr(0, kWordsMax));
  return out;
}

// Bytes past the last field belong to a newer minor and are skipped.
Result<Hello> decode_hello(ByteView bytes) {
  ByteReader in(bytes);
  Hello hello;
  if (bytes.size() > kHelloMax || !begin(in, hello.protocol)) return malformed("hello", bytes);
  hello.cluster = in.string16();
  hello.region = in.string16();
  hello.peer_region = in.string16();
  if (hello.protocol.major != kProtocolMajor && !in.failed() &&
      short_enough({&hello.cluster, &hello.region, &hello.peer_region}))
    return hello;
  hello.incarnation = in.string16();
  hello.version = in.string16();
  const auto join = in.number<std::uint8_t>();
  hello.join = join == 1;
  hello.session = in.number<std::uint64_t>();
  hello.ended = in.number<std::uint64_t>();
  hello.owner = in.string16();
  if (in.failed() || join > 1 ||
      !short_enough({&hello.cluster, &hello.region, &hello.peer_region, &hello.incarnation,
                     &hello.version, &hello.owner}))
    return malformed("hello", bytes);
  return hello;
}

Result<Accept> decode_accept(ByteView bytes) {
  ByteReader in(bytes);
  Accept accept;
  if (bytes.size() > kHelloMax || !begin(in, accept.protocol)) return malformed("accept", bytes);
  accept.region = in.string16();
  accept.incarnation = in.string16();
  accept.version = in.string16();
  accept.session = in.number<std::uint64_t>();
  if (in.failed() || !short_enough({&accept.region, &accept.incarnation, &accept.version}))
    return malformed("accept", bytes);
  return accept;
}

Result<Refuse> decode_refuse(ByteView bytes) {
  ByteReader in(bytes);
  Refuse refuse;
  if (bytes.size() > kHelloMax || !begin(in, refuse.protocol)) return malformed("refuse", bytes);
  refuse.code = static_cast<RefuseCode>(in.number<std::uint8_t>());
  refuse.words = in.string16();
  if (in.failed() || refuse.words.size() > kWordsMax) return malformed("refuse", bytes);
  return refuse;
}

}  // namespace farshore::link
