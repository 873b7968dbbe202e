#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace coditect {

/// A bounded map for many threads whose entries have a fixed size. A key may lie in either of two
/// buckets of four slots; the oldest entry there goes when both are full, so hardly any goes before
/// nine tenths are used. All memory is asked for at once and touched as it fills up: a million
/// entries cost what they hold, without pointers, nodes or pauses to grow.
/// Key and Value are trivially copyable; Hash gives 64 well mixed bits.
template <class Key, class Value, class Hash>
class FixedCache {
  static_assert(std::is_trivially_copyable_v<Key> && std::is_trivially_copyable_v<Value>);

 public:
  explicit FixedCache(std::size_t capacity)
      : buckets_(std::max<std::size_t>(2, (capacity + kWays - 1) / kWays)),
        slots_(static_cast<Bucket*>(std::calloc(buckets_, sizeof(Bucket)))) {
    if (!slots_) throw std::bad_alloc();
  }

  std::optional<Value> find(const Key& key) {
    for (const auto at : places_of(key)) {
      const std::lock_guard lock(locks_[at % kLocks]);
      for (const Slot& slot : slots_.get()[at])
        if (is_live(slot) && slot.key == key) return slot.value;
    }
    return std::nullopt;
  }

  void put(const Key& key, const Value& value) {
    const auto places = places_of(key);
    // The emptier bucket; of two full ones the one with the oldest entry.
    std::size_t chosen = places[0];
    std::pair<std::size_t, std::uint64_t> best{~std::size_t{0}, 0};
    for (const auto at : places) {
      const std::lock_guard lock(locks_[at % kLocks]);
      std::size_t live = 0;
      std::uint64_t oldest = ~std::uint64_t{0};
      for (Slot& slot : slots_.get()[at]) {
        if (is_live(slot) && slot.key == key) {
          fill(slot, key, value);
          return;
        }
        live += is_live(slot);
        oldest = std::min(oldest, rank(slot));
      }
      if (std::pair(live, oldest) < best) best = {live, oldest}, chosen = at;
    }
    // Between the look and this somebody may have taken the slot: then another one goes.
    const std::lock_guard lock(locks_[chosen % kLocks]);
    Bucket& bucket = slots_.get()[chosen];
    fill(*std::ranges::min_element(bucket, {}, [this](const Slot& s) { return rank(s); }), key,
         value);
  }

  void erase(const Key& key) {
    for (const auto at : places_of(key)) {
      const std::lock_guard lock(locks_[at % kLocks]);
      for (Slot& slot : slots_.get()[at])
        if (is_live(slot) && slot.key == key) slot.era = 0;
    }
  }

  /// Forgets everything at once.
  void clear() { era_.fetch_add(1, std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kWays = 4, kLocks = 128;
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
  void fill(Slot& slot, const Key& key, const Value& value) {
    slot = {key, value, era_.load(std::memory_order_relaxed),
            clock_.fetch_add(1, std::memory_order_relaxed)};
  }
  std::array<std::size_t, 2> places_of(const Key& key) const {
    const std::uint64_t first = Hash()(key);
    const std::uint64_t second = (first ^ (first >> 32)) * 0x9E3779B97F4A7C15u;
    return {static_cast<std::size_t>(first % buckets_),
            static_cast<std::size_t>((second >> 7) % buckets_)};
  }

  const std::size_t buckets_;
  const std::unique_ptr<Bucket, Free> slots_;
  std::array<std::mutex, kLocks> locks_;
  std::atomic<std::uint32_t> era_{1}, clock_{0};
};

}  // namespace coditect
