#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <type_traits>

namespace coditect {

/// A bounded map for many threads whose entries have a fixed size: eight slots to a bucket, the
/// oldest entry of a full bucket goes. All memory is asked for at once and touched as it fills up,
/// so a million entries cost what they hold, without pointers, nodes or pauses to grow.
/// Key and Value are trivially copyable; Hash gives 64 well mixed bits.
template <class Key, class Value, class Hash>
class FixedCache {
  static_assert(std::is_trivially_copyable_v<Key> && std::is_trivially_copyable_v<Value>);

 public:
  explicit FixedCache(std::size_t capacity)
      : buckets_(std::max<std::size_t>(1, (capacity + kWays - 1) / kWays)),
        slots_(static_cast<Bucket*>(std::calloc(buckets_, sizeof(Bucket)))) {
    if (!slots_) throw std::bad_alloc();
  }

  std::optional<Value> find(const Key& key) {
    Bucket& bucket = bucket_of(key);
    const std::lock_guard lock(lock_of(bucket));
    for (Slot& slot : bucket)
      if (is_live(slot) && slot.key == key) return slot.value;
    return std::nullopt;
  }

  void put(const Key& key, const Value& value) {
    Bucket& bucket = bucket_of(key);
    const std::lock_guard lock(lock_of(bucket));
    Slot* place = &bucket[0];
    for (Slot& slot : bucket) {
      if (is_live(slot) && slot.key == key) {
        place = &slot;
        break;
      }
      if (rank(slot) < rank(*place)) place = &slot;
    }
    *place = {key, value, era_.load(std::memory_order_relaxed),
              clock_.fetch_add(1, std::memory_order_relaxed)};
  }

  void erase(const Key& key) {
    Bucket& bucket = bucket_of(key);
    const std::lock_guard lock(lock_of(bucket));
    for (Slot& slot : bucket)
      if (is_live(slot) && slot.key == key) slot.era = 0;
  }

  /// Forgets everything at once.
  void clear() { era_.fetch_add(1, std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kWays = 8, kLocks = 64;
  struct Slot {
    Key key;
    Value value;
    std::uint32_t era;  ///< 0: free
    std::uint32_t put_at;
  };
  using Bucket = std::array<Slot, kWays>;
  struct Free {
    void operator()(Bucket* b) const { std::free(b); }
  };

  bool is_live(const Slot& s) const { return s.era == era_.load(std::memory_order_relaxed); }
  /// Free slots first, then by age.
  std::uint64_t rank(const Slot& s) const { return is_live(s) ? 1 + std::uint64_t{s.put_at} : 0; }
  Bucket& bucket_of(const Key& key) const { return slots_.get()[Hash()(key) % buckets_]; }
  std::mutex& lock_of(const Bucket& b) {
    return locks_[static_cast<std::size_t>(&b - slots_.get()) % kLocks];
  }

  const std::size_t buckets_;
  const std::unique_ptr<Bucket, Free> slots_;
  std::array<std::mutex, kLocks> locks_;
  std::atomic<std::uint32_t> era_{1}, clock_{0};
};

}  // namespace coditect
