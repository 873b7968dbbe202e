#include <argon2.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "crypto/digest.h"
#include "crypto/keyring.h"
#include "crypto/password.h"

namespace coditect::crypto {
namespace {

TEST(Digest, MatchesThePublishedVectors) {
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231, case 2.
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  // RFC 5869, case 3 (no salt, no info), first 32 bytes.
  EXPECT_EQ(to_hex(hkdf_sha256(std::string(22, '\x0b'), "")),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
}

TEST(Keyring, OpensOnlyWhatItSealedForThisPurposeAndThisData) {
  const auto ring = *Keyring::parse(Keyring::generate());
  const auto sealed = ring.seal("cursor", "position 7", "tenant 1");
  EXPECT_EQ(ring.open("cursor", sealed, "tenant 1"), "position 7");
  EXPECT_FALSE(ring.open("cursor", sealed, "tenant 2"));
  EXPECT_FALSE(ring.open("answer", sealed, "tenant 1"));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto forged = sealed;
    forged[i] = static_cast<char>(forged[i] ^ 1);
    EXPECT_FALSE(ring.open("cursor", forged, "tenant 1")) << "byte " << i;
    EXPECT_FALSE(ring.open("cursor", sealed.substr(0, i), "tenant 1"));
  }
  EXPECT_EQ(sealed.find("position"), sealed.npos);
}

TEST(Keyring, ARotatedKeyStillOpensAndADroppedOneDoesNot) {
  const auto old_text = Keyring::generate(), new_text = Keyring::generate();
  const auto old_ring = *Keyring::parse(old_text);
  const auto both = *Keyring::parse(Secret(new_text.reveal() + "," + old_text.reveal()));
  const auto fresh = *Keyring::parse(new_text);
  const auto sealed = old_ring.seal("p", "x", "");
  EXPECT_EQ(both.open("p", sealed, ""), "x");
  EXPECT_FALSE(fresh.open("p", sealed, ""));
  EXPECT_TRUE(both.verify("p", "x", old_ring.mac("p", "x")));
  EXPECT_FALSE(fresh.verify("p", "x", old_ring.mac("p", "x")));
  EXPECT_EQ(both.mac("p", "x").key_id, fresh.mac("p", "x").key_id);
}

TEST(Keyring, SaysWhatIsWrongWithItsText) {
  for (const char* bad :
       {"", "k1", "k1:", "k1:AAAA", ":AAAA", "k 1:AAAA", "toolongtoolongtoolong:AAAA"})
    EXPECT_FALSE(Keyring::parse(Secret(bad))) << bad;
  const auto one = Keyring::generate().reveal();
  EXPECT_FALSE(Keyring::parse(Secret(one + "," + one)));
}

TEST(Password, VerifiesItsOwnHashOnly) {
  const Argon2Cost cheap{64, 1};
  const auto phc = hash_password(Secret("correct horse"), cheap);
  EXPECT_TRUE(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
  EXPECT_TRUE(verify_password(Secret("correct horse"), phc));
  EXPECT_FALSE(verify_password(Secret("correct horsf"), phc));
  EXPECT_FALSE(verify_password(Secret("correct horse"), "no hash"));
  // The library's own reading of the string is the oracle, both ways.
  EXPECT_EQ(argon2id_verify(phc.c_str(), "correct horse", 13), ARGON2_OK);
  char theirs[128];
  ASSERT_EQ(argon2id_hash_encoded(2, 64, 2, "correct horse", 13, "somesalt", 8, 24, theirs,
                                  sizeof theirs),
            ARGON2_OK);
  EXPECT_TRUE(is_password_hash(theirs));
  EXPECT_TRUE(verify_password(Secret("correct horse"), theirs));
  EXPECT_FALSE(verify_password(Secret("correct hors"), theirs));
  for (const char* wrong :
       {"$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ", "$argon2id$v=19$m=64,t=1,p=1$$"})
    EXPECT_FALSE(is_password_hash(wrong)) << wrong;
  EXPECT_NE(phc, hash_password(Secret("correct horse"), cheap));
}

}  // namespace
}  // namespace coditect::crypto
