#include "crypto/password.h"

#include <argon2.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "base/bytes.h"
#include "base/check.h"
#include "crypto/digest.h"

namespace coditect::crypto {
namespace {

constexpr std::size_t kHash = 32, kSalt = 16;

/// A thread's working memory, kept from one hash to the next: giving 19 MiB back to the system and
/// touching them anew costs a quarter of a hash. Argon2 wipes it after each use.
class WorkingMemory {
 public:
  ~WorkingMemory() { release(); }

  static int allocate(std::uint8_t** out, std::size_t size) {
    thread_local WorkingMemory own;
    if (own.size_ < size) own.grow(size);
    *out = own.bytes_;
    return own.bytes_ != nullptr ? ARGON2_OK : ARGON2_MEMORY_ALLOCATION_ERROR;
  }
  static void free(std::uint8_t*, std::size_t) {}

 private:
  void grow(std::size_t size) {
    release();
    void* const made =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) return;
    madvise(made, size, MADV_HUGEPAGE);
    bytes_ = static_cast<std::uint8_t*>(made);
    size_ = size;
  }
  void release() {
    if (bytes_ != nullptr) munmap(bytes_, size_);
    bytes_ = nullptr;
    size_ = 0;
  }
  std::uint8_t* bytes_ = nullptr;
  std::size_t size_ = 0;
};

std::string argon2id(const Secret& password, std::string salt, Argon2Cost cost, std::uint32_t lanes,
                     std::size_t size) {
  std::string out(size, '\0');
  std::string text = password.reveal();
  argon2_context context{};
  context.out = reinterpret_cast<std::uint8_t*>(out.data());
  context.outlen = static_cast<std::uint32_t>(out.size());
  context.pwd = reinterpret_cast<std::uint8_t*>(text.data());
  context.pwdlen = static_cast<std::uint32_t>(text.size());
  context.salt = reinterpret_cast<std::uint8_t*>(salt.data());
  context.saltlen = static_cast<std::uint32_t>(salt.size());
  context.t_cost = cost.passes;
  context.m_cost = cost.memory_kib;
  context.lanes = lanes;
  context.threads = 1;
  context.version = ARGON2_VERSION_13;
  context.allocate_cbk = WorkingMemory::allocate;
  context.free_cbk = WorkingMemory::free;
  CHECK(argon2id_ctx(&context) == ARGON2_OK);
  return out;
}

std::string base64_without_padding(std::string_view bytes) {
  auto out = to_base64(bytes);
  while (out.ends_with('=')) out.pop_back();
  return out;
}

std::optional<std::string> from_base64_without_padding(std::string_view text) {
  std::string padded(text);
  while (padded.size() % 4 != 0) padded += '=';
  return from_base64(padded);
}

/// The parts of a PHC string (https://github.com/P-H-C/phc-string-format).
struct Phc {
  Argon2Cost cost;
  std::uint32_t lanes = 0;
  std::string salt, hash;
};

std::optional<Phc> parse(const std::string& text) {
  Phc phc;
  int at = 0;
  if (text.size() > 512 ||
      std::sscanf(text.c_str(), "$argon2id$v=19$m=%10u,t=%10u,p=%10u$%n", &phc.cost.memory_kib,
                  &phc.cost.passes, &phc.lanes, &at) != 3 ||
      at == 0)
    return std::nullopt;
  const auto rest = std::string_view(text).substr(static_cast<std::size_t>(at));
  const auto dollar = rest.find('$');
  if (dollar == rest.npos) return std::nullopt;
  const auto salt = from_base64_without_padding(rest.substr(0, dollar));
  const auto hash = from_base64_without_padding(rest.substr(dollar + 1));
  if (!salt || !hash || salt->size() < ARGON2_MIN_SALT_LENGTH || hash->size() < 16)
    return std::nullopt;
  const auto& [memory, passes] = phc.cost;
  if (phc.lanes < 1 || phc.lanes > 16 || memory < 8 * phc.lanes || memory > 1048576 || passes < 1 ||
      passes > 100)
    return std::nullopt;
  phc.salt = *salt;
  phc.hash = *hash;
  return phc;
}

}  // namespace

std::string hash_password(const Secret& password, Argon2Cost cost) {
  const auto salt = random_bytes(kSalt);
  return "$argon2id$v=19$m=" + std::to_string(cost.memory_kib) +
         ",t=" + std::to_string(cost.passes) + ",p=1$" + base64_without_padding(salt) + "$" +
         base64_without_padding(argon2id(password, salt, cost, 1, kHash));
}

bool verify_password(const Secret& password, const std::string& phc) {
  const auto parts = parse(phc);
  return parts && equal_in_constant_time(argon2id(password, parts->salt, parts->cost, parts->lanes,
                                                  parts->hash.size()),
                                         parts->hash);
}

bool is_password_hash(const std::string& phc) { return parse(phc).has_value(); }

}  // namespace coditect::crypto
