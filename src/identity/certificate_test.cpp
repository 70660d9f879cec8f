#include "identity/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "base/test_golden.h"
#include "identity/issue.h"
#include "identity/pem.h"
#include "os/real/real_world.h"
#include "os/real/test_folder.h"
#include "os/thread.h"

namespace farshore::identity {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The machine's world with a clock that can be set.
struct ShiftedWorld : os::World, os::Clock {
  os::Clock& clock() override { return *this; }
  os::Random& random() override { return real->random(); }
  os::Files& files() override { return real->files(); }
  os::Network& network() override { return real->network(); }
  MonotonicTime monotonic() override { return real->clock().monotonic(); }
  WallTime wall() override { return real->clock().wall() + shift; }

  std::unique_ptr<os::World> real = os::make_real_world({});
  Duration shift{};
};

unsigned mode_of(const std::string& path) {
  struct stat facts{};
  return ::stat(path.c_str(), &facts) == 0 ? facts.st_mode & 0777U : 0;
}

struct CertificateTest : testing::Test {
  void SetUp() override {
    ASSERT_TRUE(make_authority(world, tls, "shop").ok());
    ASSERT_TRUE(make_region_certificate(world, tls, "us-east-1").ok());
    ASSERT_TRUE(make_region_certificate(world, tls, "eu-west-1").ok());
  }

  Bytes contents(const std::string& name) {
    return *os::read_file(world.files(), tls + "/" + name);
  }
  CertificateFacts facts(const std::string& name) {
    return *read_certificate(world.files(), tls + "/" + name);
  }
  std::unique_ptr<os::World> agent_of(const std::string& region) {
    return os::make_real_world(
        os::TlsFiles{tls + "/ca.crt", tls + "/" + region + ".crt", tls + "/" + region + ".key"});
  }

  ShiftedWorld world;
  os::TestFolder folder;
  std::string tls = folder.file("tls");
};

struct Handshake {
  std::string client_saw, server_saw;  // the peer's name, or the error
};

Handshake shake_hands(os::World& client, os::World& server) {
  const Deadline deadline = Deadline::after(os::real_monotonic_now(), 10s);
  auto listener = *server.network().listen("127.0.0.1:0");
  Handshake result;
  os::Thread accepting("accept", [&](std::stop_token) {
    auto connection = listener->accept(deadline);
    result.server_saw = connection ? (*connection)->peer_name() : connection.error().what;
  });
  auto connection = client.network().connect(listener->address(), deadline);
  result.client_saw = connection ? (*connection)->peer_name() : connection.error().what;
  accepting.join();
  return result;
}

TEST_F(CertificateTest, RegionsOfOneAuthorityKnowEachOther) {
  const Handshake hands = shake_hands(*agent_of("us-east-1"), *agent_of("eu-west-1"));
  EXPECT_EQ(hands.client_saw, "eu-west-1");
  EXPECT_EQ(hands.server_saw, "us-east-1");
}

TEST_F(CertificateTest, ARegionOfAnotherAuthorityIsRefused) {
  const std::string other = folder.file("other");
  ASSERT_TRUE(make_authority(world, other, "shop").ok());
  ASSERT_TRUE(make_region_certificate(world, other, "us-east-1").ok());
  auto stranger = os::make_real_world(
      os::TlsFiles{tls + "/ca.crt", other + "/us-east-1.crt", other + "/us-east-1.key"});
  EXPECT_NE(shake_hands(*stranger, *agent_of("eu-west-1")).server_saw, "us-east-1");
}

// The CA's too, when both were made long ago and one region's key lies elsewhere.
TEST_F(CertificateTest, ARenewedOneWorksWithTheOldOnes) {
  tls = folder.file("old");
  world.shift = -3400 * 24h;
  ASSERT_TRUE(make_authority(world, tls, "shop").ok());
  world.shift = -200 * 24h;
  ASSERT_TRUE(make_region_certificate(world, tls, "us-east-1").ok());
  ASSERT_TRUE(make_region_certificate(world, tls, "eu-west-1").ok());
  world.shift = {};
  const std::string key = tls + "/eu-west-1.key", elsewhere = folder.file("eu-west-1.key");
  ASSERT_TRUE(world.files().rename(key, elsewhere).ok());
  EXPECT_THAT(*renew_all(world, tls), ElementsAre("ca", "us-east-1"));
  ASSERT_TRUE(world.files().rename(elsewhere, key).ok());
  EXPECT_EQ(days_left(facts("eu-west-1.crt"), world.wall()), 164);
  const Handshake hands = shake_hands(*agent_of("us-east-1"), *agent_of("eu-west-1"));
  EXPECT_EQ(hands.client_saw, "eu-west-1");
  EXPECT_EQ(hands.server_saw, "us-east-1");
}

// What stands in a certificate but numbers, times, keys and their digests.
std::vector<std::string> layout_of(const Bytes& pem) {
  const auto certificate = certificate_from(pem, "test");
  if (!certificate.ok()) return {certificate.error().what};
  X509* x509 = certificate->get();
  std::vector<std::string> lines{std::to_string(X509_get_version(x509)),
                                 OBJ_nid2sn(X509_get_signature_nid(x509))};
  for (const X509_NAME* name : {X509_get_subject_name(x509), X509_get_issuer_name(x509)})
    lines.push_back(common_name_of(name));
  for (int i = 0; i < X509_get_ext_count(x509); ++i) {
    X509_EXTENSION* extension = X509_get_ext(x509, i);
    const std::string name = OBJ_nid2sn(OBJ_obj2nid(X509_EXTENSION_get_object(extension)));
    const std::unique_ptr<BIO, OpenSslDeleter> text(BIO_new(BIO_s_mem()));
    if (!name.ends_with("KeyIdentifier")) X509V3_EXT_print(text.get(), extension, 0, 0);
    char* data = nullptr;
    const auto size = static_cast<std::size_t>(BIO_get_mem_data(text.get(), &data));
    lines.push_back(name + (X509_EXTENSION_get_critical(extension) != 0 ? " critical " : " ") +
                    std::string(data, size));
  }
  return lines;
}

// A new version goes into a folder of its own, and what version 1 made is good as long as it is
// valid.
TEST_F(CertificateTest, AreReadRenewedAndMadeAsThoseOfVersion1Were) {
  const std::string old = folder.file("old");
  ASSERT_TRUE(world.files().create_folder(old).ok());
  for (const char* name : {"ca.crt", "ca.key", "us-east-1.crt", "us-east-1.key"}) {
    const Bytes golden = golden_file(std::string("certificates/1/") + name, contents(name));
    ASSERT_TRUE(os::replace_file(world.files(), old + "/" + name, golden).ok());
  }
  for (const char* name : {"ca.crt", "us-east-1.crt"})
    EXPECT_EQ(layout_of(contents(name)),
              layout_of(*os::read_file(world.files(), old + "/" + name)));
  const auto before = read_certificate(world.files(), old + "/us-east-1.crt");
  ASSERT_TRUE(before.ok()) << before.error().what;
  world.shift = before->not_before + 24h - world.wall();
  EXPECT_EQ(days_left(*before, world.wall()), 364);
  const auto checked = check_region_files(world, old, "us-east-1");
  EXPECT_TRUE(checked.ok()) << checked.error().what;
  EXPECT_THAT(*renew_all(world, old), ElementsAre("us-east-1"));
  EXPECT_TRUE(check_region_files(world, old, "us-east-1").ok());
}

TEST_F(CertificateTest, SaysWhoseItIsAndHowLong) {
  const CertificateFacts region = facts("us-east-1.crt");
  EXPECT_EQ(region.subject, "us-east-1");
  EXPECT_EQ(region.issuer, "Farshore CA of shop");
  EXPECT_FALSE(region.is_authority);
  EXPECT_EQ(region.fingerprint.size(), 64U);
  EXPECT_GE(region.serial.size(), 16U);
  EXPECT_NE(region.serial, facts("eu-west-1.crt").serial);
  EXPECT_EQ(days_left(region, world.wall()), 364);
  EXPECT_LE(region.not_before, world.wall() - 59min);

  const CertificateFacts authority = facts("ca.crt");
  EXPECT_EQ(authority.subject, "Farshore CA of shop");
  EXPECT_TRUE(authority.is_authority);
  EXPECT_EQ(days_left(authority, world.wall()), 3649);
}

// A configuration's name may be longer than what is left of a common name.
TEST_F(CertificateTest, TheAuthorityOfALongNameBearsItsBeginning) {
  const std::string other = folder.file("other"), installation(63, 'n');
  const auto made = make_authority(world, other, installation);
  ASSERT_TRUE(made.ok()) << made.error().what;
  ASSERT_TRUE(make_region_certificate(world, other, std::string(63, 'r')).ok());
  EXPECT_EQ(read_certificate(world.files(), other + "/ca.crt")->subject,
            "Farshore CA of " + installation.substr(0, 49));
  const std::string third = folder.file("third");
  ASSERT_TRUE(make_authority(world, third, std::string(48, 'n') + "\u00e4\u00e4").ok());
  EXPECT_EQ(read_certificate(world.files(), third + "/ca.crt")->subject,
            "Farshore CA of " + std::string(48, 'n'));
}

TEST_F(CertificateTest, AllOfAFolderAreListedTheAuthorityFirst) {
  const auto all = *read_certificates(world.files(), tls);
  std::vector<std::string> subjects;
  subjects.reserve(all.size());
  for (const CertificateFacts& one : all) subjects.push_back(one.subject);
  EXPECT_THAT(subjects, ElementsAre("Farshore CA of shop", "eu-west-1", "us-east-1"));
  EXPECT_EQ(read_certificates(world.files(), folder.path()).error().kind, ErrorKind::not_found);
}

TEST_F(CertificateTest, EveryFileIsOursAlone) {
  for (const char* name : {"ca.crt", "ca.key", "us-east-1.crt", "us-east-1.key"})
    EXPECT_EQ(mode_of(tls + "/" + name), 0600U) << name;
}

TEST_F(CertificateTest, NothingIsOverwritten) {
  const Bytes key = contents("us-east-1.key");
  EXPECT_EQ(make_authority(world, tls, "shop").error().kind, ErrorKind::conflict);
  EXPECT_THAT(make_region_certificate(world, tls, "us-east-1").error().what,
              HasSubstr("us-east-1.key' is there already and is not overwritten"));
  EXPECT_EQ(contents("us-east-1.key"), key);
}

TEST_F(CertificateTest, RenewingKeepsTheKey) {
  const Bytes key = contents("us-east-1.key");
  const CertificateFacts before = facts("us-east-1.crt");
  world.shift = 200 * 24h;
  ASSERT_TRUE(renew_region_certificate(world, tls, "us-east-1").ok());
  EXPECT_EQ(contents("us-east-1.key"), key);
  EXPECT_EQ(days_left(facts("us-east-1.crt"), world.wall()), 364);
  EXPECT_NE(facts("us-east-1.crt").serial, before.serial);
  EXPECT_TRUE(check_region_files(world, tls, "us-east-1").ok());
}

TEST_F(CertificateTest, RenewingAllTakesTheAuthorityWhenItsEndIsNear) {
  EXPECT_THAT(*renew_all(world, tls), ElementsAre("eu-west-1", "us-east-1"));
  world.shift = 3400 * 24h;
  EXPECT_THAT(*renew_all(world, tls), ElementsAre("ca", "eu-west-1", "us-east-1"));
  EXPECT_EQ(days_left(facts("ca.crt"), world.wall()), 3649);
  EXPECT_EQ(days_left(facts("us-east-1.crt"), world.wall()), 364);
}

TEST_F(CertificateTest, RenewingAllLeavesCertificatesOfAnotherAuthorityAlone) {
  const std::string other = folder.file("other");
  ASSERT_TRUE(make_authority(world, other, "a database").ok());
  ASSERT_TRUE(make_region_certificate(world, other, "client").ok());
  for (const char* name : {"client.crt", "client.key"})
    ASSERT_TRUE(os::replace_file(world.files(), tls + "/" + name,
                                 *os::read_file(world.files(), other + "/" + name))
                    .ok());
  const Bytes before = contents("client.crt");
  ASSERT_TRUE(world.files().remove(tls + "/us-east-1.crt").ok());  // its key alone is left
  EXPECT_THAT(*renew_all(world, tls), ElementsAre("eu-west-1", "us-east-1"));
  EXPECT_EQ(contents("client.crt"), before);
}

TEST_F(CertificateTest, NoneOutlivesItsAuthority) {
  world.shift = 3500 * 24h;
  ASSERT_TRUE(renew_region_certificate(world, tls, "us-east-1").ok());
  EXPECT_EQ(facts("us-east-1.crt").not_after, facts("ca.crt").not_after);
  world.shift = 3651 * 24h;
  EXPECT_THAT(renew_region_certificate(world, tls, "us-east-1").error().what,
              HasSubstr("ca.crt' expired on"));
}

TEST_F(CertificateTest, RenewingMakesAKeyThatIsMissing) {
  EXPECT_FALSE(*renew_region_certificate(world, tls, "us-east-1"));
  EXPECT_TRUE(*renew_region_certificate(world, tls, "ap-south-1"));
  ASSERT_TRUE(world.files().remove(tls + "/us-east-1.key").ok());
  EXPECT_TRUE(*renew_region_certificate(world, tls, "us-east-1"));
  for (const char* region : {"ap-south-1", "us-east-1"}) {
    EXPECT_TRUE(check_region_files(world, tls, region).ok());
    struct stat facts{};
    ASSERT_EQ(::stat((tls + "/" + region + ".key").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777, 0600U);
  }
}

TEST_F(CertificateTest, RenewingNeedsTheAuthoritysKey) {
  ASSERT_TRUE(world.files().remove(tls + "/ca.key").ok());
  EXPECT_THAT(
      renew_region_certificate(world, tls, "us-east-1").error().what,
      HasSubstr("made and renewed where ca.crt and ca.key of `farshore init` lie: run it there"));
}

TEST_F(CertificateTest, RenewingAllSaysWhatIsMissing) {
  for (const char* region : {"us-east-1", "eu-west-1"})
    ASSERT_TRUE(world.files().remove(tls + "/" + region + ".key").ok());
  const auto none = renew_all(world, tls);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().what, "no region's key lies in '" + tls +
                                   "', so nothing was renewed: `farshore cert renew --region "
                                   "REGION` makes one");
  ASSERT_TRUE(world.files().remove(tls + "/ca.crt").ok());
  EXPECT_THAT(renew_all(world, tls).error().what,
              HasSubstr("where ca.crt and ca.key of `farshore init` lie: run it there"));
}

TEST_F(CertificateTest, AKeyThatOthersCanReadIsNotUsed) {
  ASSERT_EQ(::chmod((tls + "/ca.key").c_str(), 0644), 0);
  const Error error = renew_region_certificate(world, tls, "us-east-1").error();
  EXPECT_EQ(error.kind, ErrorKind::denied);
  EXPECT_THAT(error.what, HasSubstr("has mode 0644, others can reach it: chmod 0600"));
}

TEST_F(CertificateTest, WarnsThirtyDaysBefore) {
  const CertificateFacts region = facts("us-east-1.crt");
  EXPECT_EQ(expiry_warning(region, world.wall() + 300 * 24h), "");
  EXPECT_THAT(expiry_warning(region, region.not_after - 30 * 24h - 1s),
              HasSubstr("expires in 30 days, on 20"));
  EXPECT_EQ(expiry_warning(region, region.not_after - 31 * 24h), "");
  EXPECT_THAT(expiry_warning(region, region.not_after - 25h), HasSubstr("expires in 1 day, on 20"));
  EXPECT_THAT(expiry_warning(region, region.not_after + 1s),
              HasSubstr("farshore cert renew --region us-east-1"));
  EXPECT_EQ(days_left(region, region.not_after + 1s), -1);
  EXPECT_EQ(days_text(region, region.not_after - 25h), "1 day left");
  EXPECT_EQ(days_text(region, region.not_after + 1s), "expired today");
  EXPECT_EQ(days_text(region, region.not_after + 25h), "expired 1 day ago");
}

TEST_F(CertificateTest, AnAgentsFilesAreCheckedBeforeItStarts) {
  EXPECT_TRUE(check_region_files(world, tls, "us-east-1").ok());
  EXPECT_EQ(check_region_files(world, tls, "ap-south-1").error().kind, ErrorKind::not_found);

  ASSERT_TRUE(
      os::replace_file(world.files(), tls + "/us-east-1.crt", contents("eu-west-1.crt")).ok());
  EXPECT_THAT(check_region_files(world, tls, "us-east-1").error().what,
              HasSubstr("does not belong to"));
  ASSERT_TRUE(
      os::replace_file(world.files(), tls + "/us-east-1.key", contents("eu-west-1.key")).ok());
  EXPECT_THAT(check_region_files(world, tls, "us-east-1").error().what,
              HasSubstr("is of region 'eu-west-1', not of"));

  world.shift = 400 * 24h;
  EXPECT_THAT(check_region_files(world, tls, "eu-west-1").error().what, HasSubstr("expired on"));
  world.shift = -2h;
  EXPECT_THAT(check_region_files(world, tls, "eu-west-1").error().what,
              HasSubstr("this machine's clock says"));
}

TEST_F(CertificateTest, AnAuthorityOfTheSameNameIsNotTheSame) {
  const std::string other = folder.file("other");
  ASSERT_TRUE(make_authority(world, other, "shop").ok());
  ASSERT_TRUE(os::replace_file(world.files(), tls + "/ca.crt",
                               *os::read_file(world.files(), other + "/ca.crt"))
                  .ok());
  EXPECT_THAT(check_region_files(world, tls, "us-east-1").error().what,
              HasSubstr("was not signed by"));
}

TEST_F(CertificateTest, TextThatIsNoCertificateIsAnError) {
  for (const char* text :
       {"", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    ASSERT_TRUE(os::replace_file(world.files(), tls + "/us-east-1.crt", text).ok());
    EXPECT_THAT(read_certificate(world.files(), tls + "/us-east-1.crt").error().what,
                HasSubstr("is not a certificate in PEM"));
  }
}

TEST_F(CertificateTest, NamesThatLeaveTheFolderAreRefused) {
  for (const char* name : {"", "ca", "../us", "us/east", "us.east", "us east"})
    EXPECT_EQ(make_region_certificate(world, tls, name).error().kind, ErrorKind::invalid) << name;
}

}  // namespace
}  // namespace farshore::identity
