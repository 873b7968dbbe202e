#pragma once
#include <chrono>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

namespace coditect {

/// A bounded map whose entries live for a fixed time; the least recently used goes first.
/// One thread only.
template <class Key, class Value>
class LruCache {
 public:
  using Clock = std::chrono::steady_clock;

  LruCache(std::size_t capacity, Clock::duration ttl) : capacity_(capacity), ttl_(ttl) {}

  const Value* find(const Key& key, Clock::time_point at = Clock::now()) {
    const auto it = index_.find(key);
    if (it == index_.end()) return nullptr;
    if (it->second->expires <= at) {
      entries_.erase(it->second);
      index_.erase(it);
      return nullptr;
    }
    entries_.splice(entries_.begin(), entries_, it->second);
    return &it->second->value;
  }

  void put(const Key& key, Value value, Clock::time_point at = Clock::now()) {
    erase(key);
    entries_.push_front({key, std::move(value), at + ttl_});
    index_.emplace(key, entries_.begin());
    if (index_.size() > capacity_) {
      index_.erase(entries_.back().key);
      entries_.pop_back();
    }
  }

  void erase(const Key& key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return;
    entries_.erase(it->second);
    index_.erase(it);
  }

  void clear() {
    entries_.clear();
    index_.clear();
  }

  std::size_t size() const { return index_.size(); }

 private:
  struct Entry {
    Key key;
    Value value;
    Clock::time_point expires;
  };
  std::size_t capacity_;
  Clock::duration ttl_;
  std::list<Entry> entries_;
  std::unordered_map<Key, typename std::list<Entry>::iterator> index_;
};

}  // namespace coditect
