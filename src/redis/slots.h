#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "redis/resp.h"
#include "redis/settings.h"

/// The pure part of Redis Cluster
/// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).
namespace coditect::redis {

inline constexpr int kSlots = 16384;

/// The slot of a key: CRC16 (XMODEM) of its hash tag, the text between the first { and the next },
/// or of the whole key when there is none or it is empty.
int slot_of(std::string_view key);

/// Which master has which slot.
class SlotMap {
 public:
  /// From the reply of CLUSTER SLOTS. `asked` is the server that gave it: it stands for a host that
  /// the reply leaves out. nullopt when the reply is of another shape or names no slot.
  static std::optional<SlotMap> from(const Reply& cluster_slots, const Address& asked);

  /// nullptr: nobody has the slot, as far as is known.
  const Address* master_of(int slot) const;
  /// Learned from MOVED.
  void set(int slot, const Address& master);
  const std::vector<Address>& masters() const { return masters_; }
  /// Whether every slot has a master.
  bool complete() const;

 private:
  std::uint16_t index_of(const Address& master);

  static constexpr std::uint16_t kNobody = 0xffff;
  static constexpr std::size_t kMostMasters = 4096;
  std::vector<Address> masters_;
  std::vector<std::uint16_t> owner_ = std::vector<std::uint16_t>(kSlots, kNobody);
};

/// A server's word that the key is elsewhere; the command did not run.
struct Redirect {
  enum class Kind { moved, ask } kind;
  int slot = 0;
  Address to;

  /// From the text of an error reply, "MOVED 3999 127.0.0.1:6381"; nullopt when it is none.
  static std::optional<Redirect> from(std::string_view error, const Address& asked);
};

}  // namespace coditect::redis
